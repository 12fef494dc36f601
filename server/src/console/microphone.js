// The microphone: asks for it, and gives 20 ms frames of linear16 with the moment each was captured.
//
// The audio thread cuts the frames (capture-worklet.js). 16 kHz is asked for, because that is what the ears
// hear; where the browser cannot resample a microphone (Firefox), its own rate is sent as it is.

const EARS_HZ = 16000;

/** Why there is no microphone: `reason` is one of `refused|none|busy|insecure`. */
export class NoMicrophone extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export class Microphone {
  /** Resolves once frames flow: `on_frame({samples, rms, peak, captured_ms})`; `on_end()` when it is unplugged. */
  static async open({ on_frame, on_end }) {
    if (!window.AudioWorkletNode) throw new NoMicrophone("insecure");
    const stream = await ask_for_sound();
    const microphone = new Microphone(stream);
    try {
      await microphone.listen(on_frame);
    } catch (error) {
      microphone.close();
      throw error;
    }
    stream.getAudioTracks()[0].addEventListener("ended", on_end);
    return microphone;
  }

  constructor(stream) {
    this.stream = stream;
  }

  async listen(on_frame) {
    const { context, source } = connect(this.stream);
    this.context = context;
    await context.audioWorklet.addModule("/console/capture-worklet.js");
    const capture = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }) => on_frame({ ...data, captured_ms: performance.now() });
    source.connect(capture);
    if (context.state === "suspended") await context.resume();
  }

  get rate_hz() {
    return this.context.sampleRate;
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context?.close();
  }
}

/** Asks the browser for a microphone: a stream of one track, or `NoMicrophone`. */
export async function ask_for_sound({ device = "", is_cleaned = true } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) throw new NoMicrophone("insecure");
  const audio = { channelCount: 1, echoCancellation: is_cleaned, noiseSuppression: is_cleaned, autoGainControl: is_cleaned };
  // A device that was unplugged since it was chosen gives way to the one that is there.
  if (device) audio.deviceId = { ideal: device };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const reasons = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "none", OverconstrainedError: "none" };
    throw new NoMicrophone(reasons[error.name] ?? "busy");
  }
}

function connect(stream) {
  const resampled = new AudioContext({ sampleRate: EARS_HZ, latencyHint: "interactive" });
  try {
    return { context: resampled, source: resampled.createMediaStreamSource(stream) };
  } catch {
    resampled.close();
    const context = new AudioContext({ latencyHint: "interactive" });
    return { context, source: context.createMediaStreamSource(stream) };
  }
}
