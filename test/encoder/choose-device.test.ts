import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseDevice, type DeviceRequest } from '../../src/encoder/choose-device.js';
import type { Device } from '../../src/encoder/encoder.js';
import { openRuntime } from '../../src/encoder/open-runtime.js';
import type { OpenRuntime } from '../../src/encoder/runtime.js';
import { SearchError } from '../../src/errors.js';
import { firstPixels } from './programs.js';

const encoder = firstPixels(32);

/** How a pretended device behaves; its answers come from the CPU. A run takes `ms` of the test's own time. */
type Behaviour = {
  readonly ms: number;
  readonly wrong?: boolean;
  readonly failsToOpen?: string;
  readonly failsToRun?: string;
};

async function choose(requested: DeviceRequest, behaviours: Partial<Record<Device, Behaviour>>) {
  let time = 0;
  const opened: Device[] = [];
  const closed: Device[] = [];
  const open: OpenRuntime = async (saved, { device, threads }) => {
    const behaviour = behaviours[device] ?? { ms: 10 };
    if (behaviour.failsToOpen !== undefined) throw new SearchError('DEVICE_UNAVAILABLE', behaviour.failsToOpen);
    opened.push(device);
    const cpu = await openRuntime(saved, { device: 'cpu', threads });
    return {
      device,
      version: 'pretended',
      async run(batch, count) {
        if (behaviour.failsToRun !== undefined) throw new Error(behaviour.failsToRun);
        time += behaviour.ms;
        const embeddings = await cpu.run(batch, count);
        return behaviour.wrong ? embeddings.toReversed() : embeddings;
      },
      runWithFeatures: (batch, count) => cpu.runWithFeatures(batch, count),
      async close() {
        closed.push(device);
        await cpu.close();
      },
    };
  };
  const absence = (device: Device) => (device in behaviours || device === 'cpu' ? undefined : 'not there');
  try {
    const { runtime, notTaken } = await chooseDevice(encoder, {
      requested,
      threads: 1,
      open,
      absence,
      now: () => time,
    });
    await runtime.close();
    assert.deepEqual(closed.sort(), opened.sort(), 'what was not taken is closed');
    return {
      device: runtime.device,
      reasons: Object.fromEntries(notTaken.map(({ device, reason }) => [device, reason])),
      opened,
    };
  } catch (error) {
    assert.deepEqual(closed.sort(), opened.sort(), 'everything is closed');
    throw error;
  }
}

test('auto takes the first accelerator that is right and fast, and says why it passed the others', async () => {
  const { device, reasons } = await choose('auto', {
    cuda: { ms: 1, failsToRun: 'no kernel image' },
    webgpu: { ms: 2 },
  });
  assert.equal(device, 'webgpu');
  assert.deepEqual(reasons, { cuda: 'no kernel image', 'tensorflow-gpu': 'not there' });
});

test('auto stays on the CPU where an accelerator is wrong, slower or does not open', async () => {
  const { device, reasons } = await choose('auto', {
    cuda: { ms: 1, wrong: true },
    'tensorflow-gpu': { ms: 1, failsToOpen: 'no card' },
    webgpu: { ms: 11 },
  });
  assert.equal(device, 'cpu');
  assert.match(reasons.cuda!, /differ from the CPU's \(cosine/);
  assert.equal(reasons['tensorflow-gpu'], 'no card');
  assert.match(reasons.webgpu!, /slower than the CPU.*11\.0 against 10\.0 ms/);
});

test('auto opens nothing that is plainly absent', async () => {
  const { device, opened } = await choose('auto', {});
  assert.equal(device, 'cpu');
  assert.deepEqual(opened, ['cpu']);
});

test('an explicit device is taken at any speed, but not when it is absent or wrong', async () => {
  assert.equal((await choose('webgpu', { webgpu: { ms: 500 } })).device, 'webgpu');
  assert.equal((await choose('cpu', { cuda: { ms: 1 } })).device, 'cpu');
  const unavailable = (message: RegExp) => (error: unknown) =>
    error instanceof SearchError && error.code === 'DEVICE_UNAVAILABLE' && message.test(error.message);
  await assert.rejects(
    choose('cuda', {}),
    unavailable(/Device cuda cannot be used: not there\. Choose --device auto or cpu/),
  );
  await assert.rejects(choose('cuda', { cuda: { ms: 1, wrong: true } }), unavailable(/cosine/));
});

test('tensorflow really runs the probe and agrees', async () => {
  const { runtime } = await chooseDevice(encoder, { requested: 'tensorflow', threads: 1 });
  assert.equal(runtime.device, 'tensorflow');
  await runtime.close();
});
