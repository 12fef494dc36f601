// How loud a stream is, some 25 times a second, as the root mean square of what just sounded.
//
// The browser's analyser keeps the last samples; looking at them costs a loop over a thousand numbers. A
// page in the background looks less often, which nobody sees.

const EVERY_MS = 40;
const SAMPLES = 2048;

export class StreamLevel {
  constructor(context, stream, on_rms) {
    this.source = context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(context, { fftSize: SAMPLES, smoothingTimeConstant: 0 });
    this.source.connect(analyser);
    const samples = new Float32Array(SAMPLES);
    this.timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      on_rms(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / SAMPLES));
    }, EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
    this.source.disconnect();
  }
}
