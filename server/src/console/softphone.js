// A call: this browser's microphone in a room, and the room in this browser's loudspeaker.
//
// Holds the microphone, the sound that is heard and one WHIP session at a time. When the path is lost it
// opens a fresh session, at once and then after waits that double to 8 s, for a minute; a refusal ends the
// call with its reason. Mute silences the track in the browser before the server is told, so that nothing
// is sent whatever the server does. Draws nothing: `on_change()` says that something is to be drawn.

import { ask_for_sound, NoMicrophone } from "./microphone.js";
import { request, ServerError } from "./server.js";
import { StreamLevel } from "./stream-level.js";
import { WhipSession } from "./whip.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const PATIENCE_MS = 60_000;

const REFUSED = 403;
const GONE = 404;
const ENDS = { SentOut: "sent_out", RoomClosed: "room_closed" };

/** What a call can be: `idle|asking|connecting|connected|reconnecting`. */
export class Softphone {
  /**
   * `on_change()`; `on_failed(error)` with a NoMicrophone, a ServerError or a LostCall;
   * `on_level("own"|"room", rms)` some 25 times a second; `sound` is the audio element that plays the room.
   */
  constructor({ sound, devices, on_change, on_failed, on_level }) {
    Object.assign(this, { sound, devices, on_change, on_failed, on_level });
    this.begin();
    addEventListener("pagehide", () => this.end({ in_passing: true }));
    addEventListener("online", () => this.retry_now());
  }

  begin() {
    Object.assign(this, { state: "idle", room: null, title: "", is_muted: false, muted_by: null, consent: null, participant: null });
    Object.assign(this, { session: null, stream: null, levels: [], began_ms: null, lost_ms: null, wait_ms: FIRST_WAIT_MS });
  }

  is_busy() {
    return this.state !== "idle";
  }

  /** Joins a room: `{room, title, name, language, consent}`, `consent` true, false or null. */
  async join(wish) {
    if (this.is_busy()) return;
    Object.assign(this, { room: wish.room, title: wish.title, consent: wish.consent, wish });
    this.become("asking");
    const call = wish;
    try {
      const stream = await ask_for_sound(this.devices.wanted());
      if (this.wish !== call) return stop(stream);
      this.hold(stream);
      await this.open_session();
    } catch (error) {
      if (this.wish === call) this.fail(error);
    }
  }

  hold(stream) {
    this.stream = stream;
    const [track] = stream.getAudioTracks();
    track.enabled = !this.is_muted;
    track.addEventListener("ended", () => this.stream === stream && this.fail(new NoMicrophone("none")));
    this.devices.look();
    this.context ??= new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    this.measure("own", stream);
  }

  async open_session() {
    this.become(this.began_ms === null ? "connecting" : "reconnecting");
    const session = new WhipSession({
      on_sound: (stream) => this.session === session && this.hear(stream),
      on_state: (state) => this.session === session && this.on_session(state),
      on_event: (event) => this.session === session && this.on_event(event),
    });
    this.session = session;
    await session.open(whip_path(this.wish, this.consent), this.stream.getAudioTracks()[0]);
  }

  on_session(state) {
    if (state === "connected") {
      this.began_ms ??= performance.now();
      Object.assign(this, { lost_ms: null, wait_ms: FIRST_WAIT_MS });
      this.become("connected");
    } else if (state === "broken") {
      this.become("reconnecting");
    } else {
      // Who this browser was in the room leaves it; that is nobody's wish.
      this.participant = null;
      this.lost_ms ??= performance.now();
      this.try_again();
    }
  }

  /** What the server says beside the sound: who this browser is in the room, and why it is let out or not in. */
  on_event(event) {
    const is_new = this.participant === null;
    if (event.type === "ready") {
      this.participant = event.participant;
      // A session that took the place of a lost one comes in unmuted.
      if (this.is_muted) this.tell_muted();
      this.on_change();
    }
    if (event.type === "participant.updated" && event.participant === this.participant) this.stands(event);
    const is_over = event.type === "ended" || (event.type === "error" && is_new);
    if (is_over) this.session.ended_there();
    if (event.type === "error" && is_new) this.fail(new ServerError({ ...event, status: REFUSED }));
    if (event.type !== "ended") return;
    if (event.why in ENDS) return this.fail(new LostCall(ENDS[event.why]));
    // A server that shuts down may come back: that is a lost path like any other.
    this.session.close();
    this.on_session("lost");
  }

  try_again() {
    if (performance.now() - this.lost_ms > PATIENCE_MS || this.began_ms === null) return this.fail(new LostCall("no_path"));
    this.become("reconnecting");
    const { wish } = this;
    const again = async () => {
      this.timer = null;
      try {
        await this.open_session();
      } catch (error) {
        if (this.wish !== wish) return;
        if (error.status === GONE) return this.fail(new LostCall("room_closed"));
        // Only what the server says will stay so ends the call; a full or unreachable one may come back.
        if (error.status >= 400 && error.status < 500 && error.status !== 429) this.fail(error);
        else this.try_again();
      }
    };
    // The first attempt is made at once; a little chance keeps many pages apart after a restart.
    const wait_ms = this.wait_ms === FIRST_WAIT_MS ? 0 : this.wait_ms * (0.75 + Math.random() / 2);
    this.wait_ms = Math.min(this.wait_ms * 2, LONGEST_WAIT_MS);
    this.again = again;
    this.timer = setTimeout(again, wait_ms);
  }

  retry_now() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.again();
  }

  hear(stream) {
    this.sound.srcObject = stream;
    this.devices.play_through(this.sound);
    // A browser that wants to be touched first has been: joining is a touch.
    this.sound.play().catch(() => {});
    this.measure("room", stream);
  }

  measure(which, stream) {
    this.levels.filter((one) => one.which === which).forEach((one) => one.level.close());
    this.levels = this.levels.filter((one) => one.which !== which);
    const level = new StreamLevel(this.context, stream, (rms) => this.on_level(which, which === "own" && this.is_muted ? 0 : rms));
    this.levels.push({ which, level });
  }

  /** Silences or gives back the microphone, here first and then at the server. */
  mute(is_muted) {
    if (!this.is_busy() || this.is_muted === is_muted) return;
    this.silence(is_muted, "own");
    this.tell_muted();
  }

  silence(is_muted, by) {
    Object.assign(this, { is_muted, muted_by: is_muted ? by : null });
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !is_muted;
    this.on_change();
  }

  /** The server says how this browser stands. Nobody else opens a microphone that its owner closed. */
  stands({ is_muted, consent }) {
    this.consent = this.consent === null ? null : consent;
    if (is_muted && !this.is_muted) this.silence(true, "other");
    else if (!is_muted && this.muted_by === "other") this.silence(false, "other");
    else if (!is_muted && this.is_muted) this.tell_muted();
    this.on_change();
  }

  tell_muted() {
    this.tell({ is_muted: this.is_muted });
  }

  /** Says whether this voice may be recorded from now on. */
  agree(consent) {
    this.consent = consent;
    this.tell({ consent });
    this.on_change();
  }

  /** One after the other, so that the last word is the last. */
  tell(change) {
    const { room, participant } = this;
    if (!participant) return;
    const path = `/api/rooms/${encodeURIComponent(room)}/participants/${encodeURIComponent(participant)}`;
    this.telling = (this.telling ?? Promise.resolve()).then(async () => {
      try {
        await request("PATCH", path, change);
      } catch (error) {
        // A call that is being left, or whose path is lost, is told again when it is back.
        if (this.state === "connected" && this.participant === participant) this.on_failed(error);
      }
    });
  }

  /** Another microphone, or the same one treated otherwise. */
  async change_input() {
    if (!this.stream) return;
    try {
      const before = this.stream;
      const stream = await ask_for_sound(this.devices.wanted());
      if (this.stream !== before) return stop(stream);
      this.hold(stream);
      await this.session?.replace(stream.getAudioTracks()[0]);
      stop(before);
    } catch (error) {
      this.on_failed(error);
    }
    this.on_change();
  }

  change_output() {
    this.devices.play_through(this.sound);
  }

  leave() {
    this.end({});
  }

  fail(error) {
    this.end({});
    this.on_failed(error);
  }

  end({ in_passing = false }) {
    if (!this.is_busy()) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.session?.close({ in_passing });
    this.levels.forEach(({ level }) => level.close());
    if (this.stream) stop(this.stream);
    this.context?.close();
    this.context = null;
    this.sound.srcObject = null;
    this.wish = null;
    this.begin();
    this.on_change();
  }

  become(state) {
    this.state = state;
    this.on_change();
  }
}

/** Why a call ended that nobody left: `why` is one of `no_path|sent_out|room_closed`. */
export class LostCall extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

function whip_path({ room, name, language }, consent) {
  const query = new URLSearchParams({ name });
  if (language) query.set("language", language);
  if (consent !== null) query.set("consent", String(consent));
  return `/whip/${encodeURIComponent(room)}?${query}`;
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
