import type { ImportJob } from './answers.js';

/** The jobs in a stream of server-sent events, one for each `data:`, until the service ends it. What stands between events is skipped. */
export async function* readImportEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ImportJob, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const events = text.split(/\r?\n\r?\n/);
      text = events.pop() ?? '';
      for (const event of events) {
        const data = event
          .split(/\r?\n/)
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).replace(/^ /, ''));
        if (data.length > 0) yield JSON.parse(data.join('\n')) as ImportJob; // The service's own schema wrote it.
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // Already closed, or broken: there is nobody to tell.
  }
}
