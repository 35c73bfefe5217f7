import { SingleBar } from 'cli-progress';
import type { TrainingProgress } from '../training/runs/training-run.js';
import type { TrainProgress } from '../training/train.js';

/**
 * Progress on the terminal (standard error): a bar that is redrawn, or a line now and then where there is no terminal.
 */
export type TerminalProgress = TrainingProgress & {
  /** 2 where a file was skipped, otherwise 0. */
  readonly exitCode: () => number;
  readonly close: () => void;
};

const LINE_EVERY_MS = 10_000;

/** Opens the bar, or without a terminal the lines. */
export function openTerminalProgress(isTerminal = process.stderr.isTTY === true): TerminalProgress {
  const bar = isTerminal
    ? new SingleBar({ format: '{bar} {text}', hideCursor: true, stream: process.stderr, noTTYOutput: false })
    : undefined;
  let isBarShown = false;
  let lastLineAt = Number.NEGATIVE_INFINITY;
  let lastStage = '';
  const hide = (): void => {
    if (isBarShown) bar?.stop();
    isBarShown = false;
  };
  /** A new stage is shown at once. */
  const begin = (stage: string): void => {
    if (stage === lastStage) return;
    hide();
    lastStage = stage;
    lastLineAt = Number.NEGATIVE_INFINITY;
  };
  const show = (done: number, total: number, text: string): void => {
    if (bar !== undefined) {
      if (isBarShown) bar.update(done, { text });
      else bar.start(total, done, { text });
      bar.setTotal(total);
      isBarShown = true;
      return;
    }
    const now = performance.now();
    if (now - lastLineAt < LINE_EVERY_MS && done < total) return;
    lastLineAt = now;
    console.error(text);
  };
  const note = (text: string): void => {
    hide();
    console.error(text);
  };
  const skipped = new Set<string>();
  return {
    step: (progress) => {
      begin('training');
      show(progress.step, progress.steps, progressText(progress));
    },
    stage: (name, done, total) => {
      begin(name);
      show(done, total, `${name} ${done}/${total}`);
    },
    note,
    skip: (name, reason) => {
      if (!skipped.has(name)) note(`skipped ${name}: ${reason}`);
      skipped.add(name);
    },
    exitCode: () => (skipped.size > 0 ? 2 : 0),
    close: hide,
  };
}

/** "epoch 3/50 step 1880/39050 loss 2.1043 (global 0.4120, local 1.2631, prior 0.2140) 301 images/s 2 h 14 min left" */
function progressText({ step, steps, epoch, epochs, losses, imagesPerSecond, secondsLeft }: TrainProgress): string {
  const decoded = losses.reconstruction === undefined ? '' : `, reconstruction ${losses.reconstruction.toFixed(4)}`;
  const terms = `global ${losses.global.toFixed(4)}, local ${losses.local.toFixed(4)}, prior ${losses.prior.toFixed(4)}${decoded}`;
  const pace = `${imagesPerSecond.toFixed(0)} images/s ${duration(secondsLeft)} left`;
  return `epoch ${epoch}/${epochs} step ${step}/${steps} loss ${losses.loss.toFixed(4)} (${terms}) ${pace}`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
