// The console: wires what a person touches to the microphone, the server and the views.
//
// Two connections at most are open: the events of the room on show, and the sound of this page, which is
// either dictated or a call. Speaking into a page that shows no room of its own
// opens one. Everything below reacts to events; nothing polls but the list of rooms and what a person looks at.

import { Agent } from "./agent.js";
import { AudioSocket } from "./audio-socket.js";
import { CallView } from "./call-view.js";
import { listen_for_answers } from "./confirm.js";
import { Conversation } from "./conversation.js";
import { Devices } from "./devices.js";
import { engine_label, fill_languages, look_at_engine } from "./engine.js";
import { build, save } from "./export.js";
import { send_file } from "./file-send.js";
import { clock, current_language, hour_of, on_language, speak, t } from "./i18n.js";
import { Latency } from "./latency.js";
import { Meter } from "./meter.js";
import { Microphone, NoMicrophone } from "./microphone.js";
import { Notes } from "./notes.js";
import { Notice, about_lost_call, about_microphone, about_models, about_server } from "./notice.js";
import { People } from "./people.js";
import { Play } from "./play.js";
import { Recordings } from "./recordings.js";
import { Rooms, title_of } from "./rooms.js";
import { on_key_wanted, request } from "./server.js";
import { LostCall, Softphone } from "./softphone.js";
import { Tabs } from "./tabs.js";
import { Talk } from "./talk.js";
import { Telephone } from "./telephone.js";
import { Transcript } from "./transcript.js";
import { Waterfall } from "./waterfall.js";

const $ = (id) => document.getElementById(id);
const notice = new Notice($("notice"));
const meter = new Meter($("meter"));
const latency = new Latency({ partial: $("latency-partial"), final: $("latency-final"), chart: $("sparkline") });
const transcript = new Transcript({ lines: $("lines"), spoken: $("spoken"), welcome: $("welcome"), to_live: $("to-live") });
const notes = new Notes({ on_evidence: show_evidence, on_count: (count) => ($("notes-count").textContent = count || "") });
const rooms = new Rooms({
  list: $("rooms"), empty: $("rooms-empty"), on_open: open_room,
  on_error: complain, on_reached: () => notice.clear("reach"), on_looked: show_room,
});
const conversation = new Conversation({ transcript, notes, latency, captured_ms_of, on_state: show_link, on_change: show_room, on_event: take_event });

const devices = new Devices({
  input: $("device-input"), output: $("device-output"), output_row: $("device-output-row"), cleaned: $("device-cleaned"),
  on_input: () => call.change_input(), on_output: () => call.change_output(),
});
const call = new Softphone({
  sound: $("room-sound"), devices, on_change: show_call, on_failed: call_failed, on_level: (which, rms) => bar.level(which, rms),
});
const bar = new CallView({ on_leave: () => call.leave(), on_mute: (muted) => call.mute(muted), on_agree: (agrees) => call.agree(agrees) });
const people = new People({
  list: $("people"), empty: $("people-empty"), is_own: (participant) => call.is_busy() && participant === call.participant,
  on_error: complain, on_count: (count) => ($("people-count").textContent = count || ""),
});
const talk = new Talk({ list: $("talk"), empty: $("talk-empty"), offers: $("talk-offers"), on_error: complain });
const play = new Play({
  open: $("play-open"), file: $("play-file"), now: $("play-now"), text: $("play-text"), stop: $("play-stop"),
  on_error: (error) => notice.show(about_file(error)),
});
const agent = new Agent({ toggle: $("agent-toggle"), state: $("agent-state"), turns: $("agent-turns"), on_error: complain });
const recordings = new Recordings({
  parts: {
    form: $("record"), format: $("record-format"), tracks: $("record-tracks"), closed: $("recordings-closed"),
    list: $("recordings"), empty: $("recordings-empty"), more: $("recordings-more"),
  },
  on_error: complain, on_recording: show_recording,
});
const waterfall = new Waterfall({ list: $("stages"), empty: $("stages-empty"), note: $("stages-note") });
const tabs = new Tabs($("tabs"), (name) => {
  for (const [view, its_name] of [[people, "people"], [recordings, "recordings"], [waterfall, "speed"]]) view.look(name === its_name);
});

const telephone = new Telephone({
  parts: {
    dial: $("dial"), to: $("dial-to"), pad: $("dial-pad"), into: $("dial-into"), go: $("dial-go"), error: $("dial-error"), said: $("dial-said"),
    live: $("calls-live"), live_head: $("live-head"), live_empty: $("calls-live-empty"), live_more: $("calls-live-more"),
    over: $("calls-over"), over_empty: $("calls-over-empty"), more: $("calls-more"),
    trunks: $("trunks"), trunks_section: $("trunks-section"), stale: $("phone-stale"),
  },
  on_transcript: open_room, rooms: () => rooms.rooms.filter((room) => room.is_open), room: () => call.room,
  on_count: (count) => document.querySelectorAll("[data-count=calls]").forEach((badge) => (badge.textContent = count || "")),
});

let engine = null;
// What sounds: `{microphone, socket, started_ms, room}` while listening.
let listening = null;
let sending = null;
let link = { state: "idle", details: {} };

// Rooms

function open_room(id) {
  if (listening && listening.room !== id) stop_listening();
  notice.clear("room");
  rooms.choose(id);
  for (const view of [people, talk, play, agent]) view.open(id);
  shown_began = undefined;
  conversation.open(id);
  if (id === null) show_link("idle");
  go("conversation");
}

async function new_room(title, demands = {}) {
  const room = await request("POST", "/api/rooms", { title, ...demands });
  open_room(room.id);
  await rooms.look();
  return room.id;
}

function take_event(event) {
  for (const view of [people, talk, play, agent, recordings]) view.take(event);
}

// Ids of rooms begin again with every start of the server; with its beginning a room is itself for good.
let shown_began;

function show_room() {
  const room = rooms.find(conversation.room);
  const key = room && `${room.id} ${room.began} ${room.is_open}`;
  if (key !== shown_began) {
    shown_began = key;
    recordings.open(room);
  }
  $("room-title").textContent = conversation.room === null ? t("room_none") : title_of(room ?? { id: conversation.room });
  $("join").hidden = call.is_busy() || room?.is_open === false || (conversation.room !== null && !room);
  $("join-text").textContent = t(conversation.room === null ? "join_new" : "join");
  const names = conversation.names();
  const parts = conversation.room === null ? [] : [clock(conversation.heard_s), ...names.slice(0, 4)];
  $("room-meta").textContent = parts.join(" · ");
  $("export").hidden = transcript.finals.length === 0;
}

// Calls

async function join() {
  notice.clear();
  const room = rooms.find(conversation.room);
  try {
    // What the room demands now may be newer than the list of rooms.
    const now = room && (await request("GET", `/api/rooms/${encodeURIComponent(room.id)}`));
    const wish = await bar.ask({
      title: room ? title_of(room) : "", room: room?.id ?? null, name: $("name").value.trim(), consent_required: now?.consent === "required",
    });
    if (wish === null) return;
    $("name").value = wish.name;
    remember_name();
    stop_listening();
    const id = room?.id ?? (await new_room(t("room_call", { time: hour_of() }), wish.demands ? { consent: "required" } : {}));
    tabs.choose("people");
    await call.join({ room: id, title: title_of(rooms.find(id) ?? { id }), name: own_name(), language: $("language").value, consent: wish.consent });
  } catch (error) {
    complain(error);
  }
}

function call_failed(error) {
  if (error instanceof NoMicrophone) notice.show(about_microphone(error.reason));
  else if (error instanceof LostCall) notice.show(about_lost_call(error.why));
  else {
    const message = about_server(error);
    notice.show(message.title === "e_other_title" ? { ...message, title: "e_join_title" } : message);
  }
}

function show_call() {
  bar.draw(call);
  people.draw();
  show_room();
}

function show_recording(running) {
  $("recording-now").hidden = !running;
}

// Sound

function audio_path(room, more) {
  const query = new URLSearchParams({ name: more.name, ...more.spec });
  if ($("language").value) query.set("language", $("language").value);
  return `/api/rooms/${encodeURIComponent(room)}/audio?${query}`;
}

// A name is asked for nowhere: who gives one is called by it, and it is remembered.
function own_name() {
  return $("name").value.trim() || t("guest");
}

async function start_listening() {
  if (call.is_busy()) return;
  notice.clear();
  // A server that could not hear when the page was opened may have been given a model since.
  if (!engine) await look_around();
  if (!engine) return;
  $("mic").disabled = true;
  const waiting = [];
  const started = { microphone: null, socket: null, started_ms: performance.now(), room: null };
  try {
    started.microphone = await Microphone.open({
      // What is said while the room opens waits here: a second or so.
      on_frame: (frame) => {
        meter.push(frame.rms);
        if (started.socket) started.socket.push(frame);
        else waiting.push(frame);
      },
      on_end: () => stop_listening(),
    });
    started.started_ms = performance.now();
    // A room that is on show and was opened by this page goes on; any other keeps to itself.
    started.room = own_rooms.has(conversation.room) ? conversation.room : await new_room(t("room_mic", { time: hour_of() }));
    own_rooms.add(started.room);
    const spec = { encoding: "linear16", sample_rate: started.microphone.rate_hz, channels: 1 };
    started.socket = new AudioSocket(audio_path(started.room, { name: own_name(), spec }), {
      on_state: show_link_now,
      on_refused: (error) => {
        stop_listening();
        notice.show(about_server(error));
      },
      on_dropped: (seconds) => note_dropped(seconds),
    });
    waiting.forEach((frame) => started.socket.push(frame));
    latest_socket = started.socket;
    listening = started;
  } catch (error) {
    started.microphone?.close();
    notice.show(error instanceof NoMicrophone ? about_microphone(error.reason) : about_server(error));
  }
  $("mic").disabled = false;
  show_mic();
}

const own_rooms = new Set();
let dropped_s = 0;

// Frames are dropped one by one; a person is told once a second of them is gone.
function note_dropped(seconds) {
  dropped_s += seconds;
  if (dropped_s < 1) return;
  transcript.remark(t("lost", { s: dropped_s.toFixed(1), why: t("lost_network") }), conversation.heard_s);
  dropped_s = 0;
}

function stop_listening() {
  if (!listening) return;
  const { microphone, socket } = listening;
  listening = null;
  microphone.close();
  socket.finish();
  meter.clear();
  show_mic();
}

// The last final comes when listening is over: the latest socket is the one to ask.
let latest_socket = null;

function captured_ms_of(participant, stream_s) {
  return latest_socket?.participants.includes(participant) ? latest_socket.captured_ms_at(stream_s) : null;
}

function show_mic() {
  const on = listening !== null;
  $("mic").setAttribute("aria-pressed", String(on));
  $("mic-text").textContent = t(on ? "mic_stop" : "mic_start");
  $("mic").title = t(on ? "mic_stop" : "mic_start");
  show_link_now();
  tick();
}

function tick() {
  if (!listening) return;
  $("clock").textContent = clock((performance.now() - listening.started_ms) / 1000);
  setTimeout(tick, 250);
}

async function take_file(file) {
  if (!file || sending) return;
  notice.clear();
  sending = new AbortController();
  $("progress").hidden = false;
  $("progress-name").textContent = file.name;
  const on_progress = (share) => ($("progress-bar").value = share);
  on_progress(0);
  try {
    const room = await new_room(file.name);
    await send_file(audio_path(room, { name: t("speaker"), spec: { live: "false" } }), file, { on_progress, signal: sending.signal });
  } catch (error) {
    notice.show(error.status === 0 && error.code === "unreachable" ? about_server(error) : about_file(error));
  }
  sending = null;
  $("progress").hidden = true;
  $("file").value = "";
}

function about_file(error) {
  const message = about_server(error);
  return message.title === "e_other_title" ? { ...message, title: "e_file_title" } : message;
}

// What the page says of itself

function complain(error) {
  notice.show(about_server(error));
}

function show_link(state, details = {}) {
  link = { state, details };
  if (state === "refused") notice.show(about_server(details));
  show_link_now();
}

function show_link_now() {
  const state = link.state === "live" && listening ? "listening" : { refused: "offline" }[link.state] ?? link.state;
  $("link").dataset.state = state;
  $("link-text").textContent = t(`link_${state}`, { s: Math.ceil((link.details.wait_ms ?? 0) / 1000) });
}

function show_engine() {
  $("engine").textContent = engine ? engine_label(engine) : "";
  $("engine").title = engine?.model ?? "";
  fill_languages($("language"), engine);
}

async function look_around() {
  try {
    const found = await look_at_engine();
    engine = found.engine;
    // Who looks after one that may have none is told so there.
    if (engine?.has_telephone !== false) document.querySelectorAll("[data-go=telephone]").forEach((button) => (button.hidden = false));
    if (engine?.has_telephone) telephone.begin();
    if (found.missing) notice.show(about_models());
    show_engine();
  } catch (error) {
    notice.show(about_server(error));
  }
  await rooms.look();
  show_room();
}

function show_evidence({ start_s, end_s, participant }) {
  go("conversation");
  transcript.reveal(start_s, end_s, participant);
}

function go(pane) {
  document.body.dataset.pane = pane;
  telephone.look(pane === "telephone");
  for (const button of document.querySelectorAll("[data-go]")) {
    if (button.dataset.go === pane) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function ask_key(was_wrong) {
  $("key-error").hidden = !was_wrong;
  $("key-error").textContent = t("key_wrong");
  $("key").value = "";
  $("key-dialog").showModal();
  return new Promise((resolve) => {
    $("key-dialog").addEventListener("close", () => resolve($("key").value.trim() || null), { once: true });
  });
}

// What a person does

$("mic").addEventListener("click", () => (listening ? stop_listening() : start_listening()));
$("join").addEventListener("click", join);
$("room-new").addEventListener("click", () => open_room(null));
$("file-open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => take_file($("file").files[0]));
$("progress-cancel").addEventListener("click", () => sending?.abort());
$("language").addEventListener("change", () => {
  if (!listening) return;
  stop_listening();
  start_listening();
});
for (const tag of ["de", "en"]) $(`ui-${tag}`).addEventListener("click", () => speak(tag));
for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", () => go(button.dataset.go));
for (const button of document.querySelectorAll("[data-export]")) {
  button.addEventListener("click", () => {
    $("export").open = false;
    const kept = { action_items: notes.actions(), decisions: [...notes.kept.decisions.values()], questions: [...notes.kept.questions.values()] };
    save(build(button.dataset.export, { title: $("room-title").textContent, finals: transcript.finals, notes: kept }));
  });
}
const MENUS = ["export", "call-devices"];
addEventListener("click", (event) => {
  for (const menu of MENUS) if (!event.target.closest(`#${menu}`)) $(menu).open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of MENUS) {
    if ($(menu).open && $(menu).contains(document.activeElement)) $(menu).querySelector("summary").focus();
    $(menu).open = false;
  }
});

let inside = 0;
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  inside += 1;
  $("drop").hidden = false;
});
addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  $("drop").hidden = inside === 0;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").hidden = true;
  take_file(event.dataTransfer?.files[0]);
});

const NAME = "harmony.name";
$("name").value = localStorage.getItem(NAME) ?? "";
$("name").addEventListener("change", remember_name);

function remember_name() {
  localStorage.setItem(NAME, $("name").value.trim());
}

on_key_wanted(ask_key);
listen_for_answers();
on_language(() => {
  for (const tag of ["de", "en"]) $(`ui-${tag}`).setAttribute("aria-pressed", String(tag === current_language()));
  $("name").placeholder = t("guest");
  $("latency-partial").closest("section").title = t("latency_note");
  show_engine();
  show_room();
  show_mic();
});
speak(current_language());
look_around();
