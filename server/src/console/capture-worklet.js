// Cuts what the microphone gives into 20 ms frames of linear16, on the audio thread.
//
// Allocates one small buffer a frame, which is handed over (not copied) to the page. Never waits, never
// talks to the network. A channel beyond the first is ignored: the page asks for one.

const FRAME_S = 0.02;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame_samples = Math.round(sampleRate * FRAME_S);
    this.begin();
  }

  begin() {
    this.samples = new Int16Array(this.frame_samples);
    this.filled = 0;
    this.squares = 0;
    this.peak = 0;
  }

  process(inputs) {
    const channel = inputs[0]?.[0];
    if (!channel) return true;
    for (const sample of channel) {
      const level = Math.max(-1, Math.min(1, sample));
      this.samples[this.filled] = Math.round(level * 32767);
      this.filled += 1;
      this.squares += level * level;
      this.peak = Math.max(this.peak, Math.abs(level));
      if (this.filled === this.frame_samples) this.hand_over();
    }
    return true;
  }

  hand_over() {
    const rms = Math.sqrt(this.squares / this.frame_samples);
    this.port.postMessage({ samples: this.samples.buffer, rms, peak: this.peak }, [this.samples.buffer]);
    this.begin();
  }
}

registerProcessor("capture", Capture);
