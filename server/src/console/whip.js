// One WHIP session: a peer connection that sends and hears, and the HTTP that opens and ends it (RFC 9725).
//
// One audio line both ways (Opus) and one data channel, over which the server tells the room's events. The
// offer goes out when the browser has found its addresses or half a second later; what it finds after that
// follows by PATCH. Says what happens to it and decides nothing: whoever opened it tries again or gives up.

import { ask, delete_in_passing } from "./server.js";

const GATHER_MS = 500;
// Longer than two losses in a row take; a path that is not found by then is not there.
const CONNECT_MS = 12_000;
// A path that broke may come back by itself.
const BROKEN_MS = 4_000;

export class WhipSession {
  /** `on_sound(stream)`, `on_state("connected"|"broken"|"lost")`, `on_event(object)` from the data channel. */
  constructor({ on_sound, on_state, on_event }) {
    Object.assign(this, { on_sound, on_state, on_event, path: null, etag: null, over: false, waiting: [] });
  }

  /** Resolves when the server has answered; throws what it refused. `on_state` follows. */
  async open(url, track) {
    const iceServers = ice_servers(await ask("OPTIONS", url));
    // Given up in the meantime.
    if (this.over) return;
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers });
    this.peer = peer;
    const line = peer.addTransceiver(track, { direction: "sendrecv", streams: [new MediaStream([track])] });
    this.sender = line.sender;
    prefer_opus(line);
    peer.createDataChannel("events").onmessage = ({ data }) => this.take(data);
    peer.ontrack = (heard) => this.on_sound(new MediaStream([heard.track]));
    peer.onconnectionstatechange = () => this.look();
    await peer.setLocalDescription();
    await gathered(peer);
    peer.onicecandidate = ({ candidate }) => this.trickle(candidate);
    const headers = { "content-type": "application/sdp", accept: "application/sdp, application/json" };
    const answer = await ask("POST", url, { headers, body: peer.localDescription.sdp });
    this.path = pathname(answer.headers.get("location"), url);
    this.etag = answer.headers.get("etag");
    if (this.over) return this.forget();
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    this.deadline = setTimeout(() => this.lose(), CONNECT_MS);
    this.trickle();
  }

  look() {
    if (this.over) return;
    const state = this.peer.connectionState;
    if (state !== "connecting" && state !== "new") clearTimeout(this.deadline);
    if (state === "connected") this.on_state("connected");
    if (state === "failed" || state === "closed") this.lose();
    if (state === "disconnected") {
      this.on_state("broken");
      this.deadline = setTimeout(() => this.lose(), BROKEN_MS);
    }
  }

  lose() {
    if (this.over) return;
    this.close();
    this.on_state("lost");
  }

  take(text) {
    if (this.over) return;
    try {
      this.on_event(JSON.parse(text));
    } catch {
      // What is no JSON is no event.
    }
  }

  /** Tells the server of addresses that were found late. A server that does not want them loses nothing. */
  trickle(candidate) {
    if (candidate !== undefined) this.waiting.push(candidate);
    if (!this.path || this.over || this.waiting.length === 0) return;
    const body = fragment(this.peer.localDescription.sdp, this.waiting.splice(0));
    const headers = { "content-type": "application/trickle-ice-sdpfrag" };
    if (this.etag) headers["if-match"] = this.etag;
    ask("PATCH", this.path, { headers, body }).catch(() => {});
  }

  /** Sends another microphone in place of the first. */
  replace(track) {
    return this.sender.replaceTrack(track);
  }

  /** Ends the session and tells the server; `in_passing` when the page itself goes away. */
  close({ in_passing = false } = {}) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.deadline);
    if (in_passing && this.path) delete_in_passing(this.path);
    if (in_passing || !this.path) this.peer?.close();
    else this.forget();
  }

  /** The server is told first: a connection that just ends is missed there only after a while. */
  forget() {
    // It may have been forgotten there already.
    ask("DELETE", this.path).catch(() => {}).finally(() => this.peer.close());
    this.path = null;
  }

  /** The server said goodbye: there is nothing left to end. */
  ended_there() {
    this.path = null;
  }
}

function prefer_opus(line) {
  const known = RTCRtpReceiver.getCapabilities?.("audio")?.codecs ?? [];
  const wanted = known.filter(({ mimeType }) => /^audio\/(opus|telephone-event)$/i.test(mimeType));
  if (wanted.length > 0) line.setCodecPreferences?.(wanted);
}

function gathered(peer) {
  return new Promise((resolve) => {
    const look = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(resolve, GATHER_MS);
    look();
  });
}

/** The STUN and TURN servers that the endpoint names in its Link headers (RFC 9725, 4.6). */
function ice_servers(answer) {
  const quoted = /"((?:[^"\\]|\\.)*)"/;
  const links = answer.headers.get("link")?.matchAll(/<([^>]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s,;]+))*)/g) ?? [];
  return [...links].flatMap(([, urls, more]) => {
    const field = (name) => {
      const value = new RegExp(`;\\s*${name}\\s*=\\s*(${quoted.source}|[^\\s;,]+)`).exec(more)?.[1];
      return quoted.exec(value ?? "")?.[1].replace(/\\(.)/g, "$1") ?? value;
    };
    if (field("rel") !== "ice-server") return [];
    const [username, credential] = [field("username"), field("credential")];
    return [username ? { urls, username, credential } : { urls }];
  });
}

/** Candidates as a fragment of a session description (RFC 8840); null marks their end. */
function fragment(sdp, candidates) {
  const line = (start) => sdp.split("\r\n").find((one) => one.startsWith(start));
  const found = candidates.map((one) => (one === null ? "a=end-of-candidates" : `a=${one.candidate}`));
  return [line("a=ice-ufrag:"), line("a=ice-pwd:"), line("m="), line("a=mid:"), ...found, ""].join("\r\n");
}

function pathname(location_header, asked) {
  const url = new URL(location_header ?? "", new URL(asked, location.href));
  return url.pathname + url.search;
}
