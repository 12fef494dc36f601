// The words of the page in German and English, and how times and days are written in each.
//
// The page starts in the browser's language; a choice made with the switch is remembered. Elements name
// their words by `data-text` (content) and `data-label` (accessible name); everything else asks `t`.

const words = {
  en: {
    skip: "Skip to the transcript", page_language: "Language of this page", dismiss: "Dismiss", cancel: "Cancel",
    rooms: "Rooms", room_new: "New", rooms_empty: "No rooms yet. Speaking or sending a file opens one.",
    room_live: "live", room_over: "ended", room_untitled: "Room {id}", room_mic: "Microphone, {time}", room_call: "Call, {time}", room_none: "New conversation",
    transcript: "Transcript", notes: "Notes", views: "Views", to_live: "Latest words",
    welcome_title: "Speak, and read along.",
    welcome_text: "Press the microphone or drop a recording anywhere on this page. What you say stays on this server.",
    actions: "Action items", actions_empty: "Tasks appear here as people take them on, each with the words that prove it.",
    decisions: "Decisions", questions: "Questions", none_yet: "None yet.",
    owner_none: "No owner", due: "due {day}", evidence: "Said at {time}", owner_team: "Everybody", agreed: "agreed", answered: "answered",
    latency: "From ear to text", latency_partial: "Live words", latency_final: "Settled", latency_chart: "Latency of the latest words",
    latency_note: "Measured in this browser, from the end of a word at the microphone to its text on the page.",
    latency_at: "{ms} ms", latency_chart_value: "Live words after {partial}, settled after {final}, over {count} results",
    file: "File", drop_here: "Drop to transcribe", file_sending: "{name}", level: "Microphone level",
    mic_start: "Start listening", mic_stop: "Stop listening", your_name: "Your name", guest: "Guest", spoken_language: "Spoken language",
    language_auto: "Detect language", speaker: "Speaker", time_of: "Times of the sentence at {time}",
    sentence_times: "{start} to {end} · {count} words · {confidence} % sure", word_times: "“{word}” {start} to {end} · {confidence} % sure",
    export: "Export", export_text: "Text", export_srt: "Subtitles (SRT)", export_json: "JSON",
    link_idle: "Ready", link_connecting: "Connecting", link_live: "Live", link_listening: "Listening",
    link_waiting: "Reconnecting in {s} s", link_offline: "Offline", link_ended: "Ended",
    lost: "{s} s were not heard ({why}).", lost_overload: "the server was busy", lost_recognizer: "the recognizer failed", lost_network: "the connection was too slow",
    joined: "{name} joined", left: "{name} left",
    details: "Details", people: "People", recordings: "Recordings", speed: "Speed", in_room: "In this room", people_empty: "Nobody is here right now.",
    join: "Join", join_new: "Start a call", join_head: "Join “{title}”", join_new_head: "Start a call", join_go: "Join",
    join_text: "Your browser asks for the microphone next.", join_demand: "Ask everybody before their voice is recorded",
    consent_title: "May your voice be recorded?", consent_text: "This room records only those who agree. You can change your answer during the call.",
    consent_yes: "Yes, my voice may be recorded", consent_no: "No, leave my voice out", call_agree: "My voice may be recorded",
    call: "Call", call_asking: "Asking for your microphone", call_connecting: "Connecting to {title}", call_connected: "In “{title}”",
    call_reconnecting: "Connection lost, reconnecting", call_is_muted: "you are muted", call_mute: "Mute", call_unmute: "Unmute", call_leave: "Leave",
    call_devices: "Devices", level_own: "Your level", level_room: "Level of the room", you: "You", the_room: "Room",
    device_input: "Microphone", device_output: "Loudspeaker", device_default: "Default", device_cleaned: "Reduce echo and noise",
    person_you: "{name} (you)", person_muted: "muted", person_speaking: "speaking", person_unrecorded: "not recorded", person_level: "Level of {name}",
    person_mute: "Mute", person_unmute: "Unmute", person_mute_who: "Mute {name}", person_unmute_who: "Unmute {name}", person_remove: "Remove", person_remove_who: "Remove {name} from the room",
    kind_webrtc: "by browser", kind_websocket: "by stream", kind_file: "a file", kind_echo: "echo", kind_phone: "by phone", kind_sip: "by phone", kind_rtp: "by phone", kind_http: "by upload", kind_agent: "an agent",
    play_open: "Play a file into the room", play_now: "A file is playing ({length})", play_stop: "Stop",
    agent: "Agent", agent_in: "Ask an agent in", agent_away: "Send it away", agent_none: "No agent talks here.", agent_listens: "Listens", agent_thinks: "Thinks",
    agent_speaks: "Speaks", agent_holds: "Holds still, somebody speaks", agent_turns: "Its last answers", agent_answered: "Answered after {ms} ms", agent_way: "To the ear", agent_unheard: "not heard",
    rec_format: "Format", rec_format_ogg: "Opus, small", rec_format_wav: "WAV, exact", rec_tracks: "Tracks", rec_tracks_mix: "Everybody together",
    rec_tracks_each: "Each voice alone", rec_tracks_both: "Together and alone", rec_start: "Record", rec_now: "Recording", rec_none: "Nothing has been recorded yet.", rec_no_room: "Open a live room to record it.",
    rec_more: "Show more", rec_recording: "Recording", rec_paused: "Paused", rec_finished: "Finished", rec_interrupted: "Interrupted", rec_failed: "Failed",
    rec_do_pause: "Pause", rec_do_resume: "Resume", rec_do_stop: "Stop", rec_do_erase: "Delete", rec_do_pause_which: "Pause the recording {name}",
    rec_do_resume_which: "Resume the recording {name}", rec_do_stop_which: "Stop the recording {name}", rec_do_erase_which: "Delete the recording {name}",
    track_mix: "Everybody", track_hear: "Play", track_play: "Play {name}", track_save: "Download", track_save_which: "Download {name}",
    erase_title: "Delete this recording?", erase_text: "{name} is removed from the server for good.", erase_yes: "Delete",
    stages: "Stages of the server", stages_empty: "Nothing was measured in the last minutes.", stages_note: "Half, 95 % and 99 % of the last {minutes} minutes are at most this long (ms).",
    stage_packet_to_frame: "Packet to sound", stage_vad: "Voice or not", stage_asr_partial: "Live words", stage_asr_final: "Settled words", stage_voices: "Whose voice", stage_turn: "End of turn",
    stage_llm_first_token: "First thought", stage_tts_first_audio: "First sound of the answer", stage_ear_to_text: "Ear to text", stage_ear_to_ear: "Ear to ear",
    stage_count: "{stage}, measured {count} times", p50: "half within", p95: "95 percent within", p99: "99 percent within",
    sent_key: "{name} pressed {digit}",
    talk: "Who spoke", talk_empty: "Nobody has spoken yet.", talk_of: "{name} spoke for {time}", speaker_unknown: "Unknown voice", speaker_voice: ", voice {number}",
    offer: "Is “{now}” {name}?", offer_yes: "Yes", offer_no: "No",
    telephone: "Telephone", dial_head: "Place a call", dial_to: "Number or address", dial_into: "Then", dial_listen: "listen to it in a room of its own", dial_go: "Call",
    dial_placed: "Calling {whom}", keypad: "Keys of a telephone", key_star: "star", key_hash: "hash",
    phone_live: "On the line", phone_live_empty: "Nobody is on the line.", phone_over: "Lately", phone_over_empty: "Nobody has called since this server began.",
    phone_unseen: "And {count} more.", phone_stale: "The server does not answer: this is how it was. Trying again.",
    phone_queued: "dialling", phone_ringing: "rings", phone_in_progress: "talks", phone_completed: "ended", phone_busy: "busy", phone_no_answer: "no answer",
    phone_canceled: "given up", phone_failed: "failed", phone_inbound: "Incoming call", phone_outbound: "Outgoing call", phone_anonymous: "Unknown number",
    phone_is_held: "held", phone_holds_us: "holds you", phone_is_muted: "muted", phone_since: "since {time}", phone_dialled: "dialled", phone_as: "as", phone_by: "by {trunk}",
    phone_took_human: "a person answered", phone_took_machine: "a machine answered", phone_took_fax: "a fax answered", phone_took_unknown: "unclear who answered",
    phone_refused: "refused with {status}", phone_sounds_good: "sounds good ({mos})", phone_sounds_fair: "sounds fair ({mos})", phone_sounds_bad: "sounds bad ({mos})",
    phone_lost: "{percent} % lost", phone_jitter: "jitter {ms} ms", phone_round_trip: "{ms} ms there and back",
    phone_hangup: "Hang up", phone_hold: "Hold", phone_resume: "Resume", phone_mute: "Mute", phone_unmute: "Unmute", phone_keys: "Keys", phone_transfer: "Transfer",
    phone_transcript: "Transcript", phone_again: "Dial again", phone_what_who: "{what}: {who}", phone_pressed: "Sent: {keys}",
    phone_transfer_to: "To a number or address", phone_transfer_call: "Or to another call", phone_transfer_nobody: "none of these", phone_transfer_go: "Hand over", phone_transferring: "Asking…",
    trunks: "Lines to the outside", trunk_up: "up", trunk_down: "does not answer", trunk_registered: "registered", trunk_unregistered: "not registered", trunk_call: "{count} call", trunk_calls: "{count} calls",
    e_dial_not_allowed: "This may not be dialled.", e_dial_no_trunk: "There is no line to the outside.", e_dial_bad_number: "This is no number and no address.",
    e_dial_not_reachable: "Nobody is reached there.", e_dial_limit: "Too many calls for now. Try again in {s} seconds.",
    e_not_transferred: "The far end did not take the transfer.", e_not_taken: "Only a call that was answered can be transferred to.",
    e_call_title: "The call has ended", e_call_no_path: "No connection for sound could be made. A firewall may block UDP between you and the server.",
    e_call_sent_out: "You were removed from the room.", e_call_room_closed: "The room was closed.", e_join_title: "You could not join",
    key_title: "This server asks for a key", key_text: "Your administrator made one with “harmony keys create”. It is kept until you close this tab.",
    key_label: "API key", key_use: "Continue", key_wrong: "The server does not know this key.",
    e_mic_title: "The microphone is not available", e_mic_refused: "The browser was told not to use it. Allow the microphone for this page in the address bar and try again.",
    e_mic_none: "No microphone was found. Plug one in, or drop a recording here.",
    e_mic_busy: "Another program is using the microphone. Close it there and try again.",
    e_mic_insecure: "Browsers give the microphone only to pages on https or on localhost. Sending a file works here.",
    e_models_title: "No speech model is installed", e_models: "Run this command on the server, then start it again.",
    e_full_title: "The server is full", e_full: "Every place is taken. Try again in {s} seconds.", e_full_soon: "Every place is taken. Try again in a moment.",
    e_gone_title: "This room is gone", e_gone: "It has been closed or forgotten. Start a new one.",
    e_reach_title: "The server does not answer", e_reach: "Check that harmony is still running. The page goes on trying.",
    e_file_title: "This file could not be read", e_other_title: "That did not work", e_draining_title: "The server is shutting down",
  },
  de: {
    skip: "Zum Transkript springen", page_language: "Sprache dieser Seite", dismiss: "Schließen", cancel: "Abbrechen",
    rooms: "Räume", room_new: "Neu", rooms_empty: "Noch keine Räume. Wer spricht oder eine Datei sendet, öffnet einen.",
    room_live: "live", room_over: "beendet", room_untitled: "Raum {id}", room_mic: "Mikrofon, {time}", room_call: "Gespräch, {time}", room_none: "Neues Gespräch",
    transcript: "Transkript", notes: "Notizen", views: "Ansichten", to_live: "Neueste Worte",
    welcome_title: "Sprechen und mitlesen.",
    welcome_text: "Tippen Sie auf das Mikrofon oder ziehen Sie eine Aufnahme auf diese Seite. Was Sie sagen, bleibt auf diesem Server.",
    actions: "Aufgaben", actions_empty: "Aufgaben erscheinen hier, sobald jemand sie übernimmt, jede mit den Worten, die sie belegen.",
    decisions: "Entscheidungen", questions: "Fragen", none_yet: "Noch keine.",
    owner_none: "Niemand genannt", due: "bis {day}", evidence: "Gesagt bei {time}", owner_team: "Alle", agreed: "zugesagt", answered: "beantwortet",
    latency: "Vom Ohr zum Text", latency_partial: "Live-Worte", latency_final: "Endgültig", latency_chart: "Verzögerung der letzten Worte",
    latency_note: "In diesem Browser gemessen: vom Ende eines Wortes am Mikrofon bis zu seinem Text auf der Seite.",
    latency_at: "{ms} ms", latency_chart_value: "Live-Worte nach {partial}, endgültig nach {final}, über {count} Ergebnisse",
    file: "Datei", drop_here: "Zum Transkribieren loslassen", file_sending: "{name}", level: "Mikrofonpegel",
    mic_start: "Zuhören beginnen", mic_stop: "Zuhören beenden", your_name: "Ihr Name", guest: "Gast", spoken_language: "Gesprochene Sprache",
    language_auto: "Sprache erkennen", speaker: "Stimme", time_of: "Zeiten des Satzes bei {time}",
    sentence_times: "{start} bis {end} · {count} Wörter · {confidence} % sicher", word_times: "„{word}“ {start} bis {end} · {confidence} % sicher",
    export: "Exportieren", export_text: "Text", export_srt: "Untertitel (SRT)", export_json: "JSON",
    link_idle: "Bereit", link_connecting: "Verbinde", link_live: "Live", link_listening: "Hört zu",
    link_waiting: "Neuer Versuch in {s} s", link_offline: "Getrennt", link_ended: "Beendet",
    lost: "{s} s wurden nicht gehört ({why}).", lost_overload: "der Server war ausgelastet", lost_recognizer: "die Erkennung ist gescheitert", lost_network: "die Verbindung war zu langsam",
    joined: "{name} ist dabei", left: "{name} ist gegangen",
    details: "Details", people: "Personen", recordings: "Aufnahmen", speed: "Tempo", in_room: "In diesem Raum", people_empty: "Gerade ist niemand hier.",
    join: "Mitsprechen", join_new: "Anruf starten", join_head: "„{title}“ beitreten", join_new_head: "Anruf starten", join_go: "Beitreten",
    join_text: "Ihr Browser fragt als Nächstes nach dem Mikrofon.", join_demand: "Alle fragen, bevor ihre Stimme aufgenommen wird",
    consent_title: "Darf Ihre Stimme aufgenommen werden?", consent_text: "Dieser Raum nimmt nur auf, wer zustimmt. Sie können Ihre Antwort während des Gesprächs ändern.",
    consent_yes: "Ja, meine Stimme darf aufgenommen werden", consent_no: "Nein, meine Stimme auslassen", call_agree: "Meine Stimme darf aufgenommen werden",
    call: "Gespräch", call_asking: "Bitte um Ihr Mikrofon", call_connecting: "Verbinde mit {title}", call_connected: "In „{title}“",
    call_reconnecting: "Verbindung verloren, neuer Versuch", call_is_muted: "Sie sind stumm", call_mute: "Stumm", call_unmute: "Stumm aus", call_leave: "Verlassen",
    call_devices: "Geräte", level_own: "Ihr Pegel", level_room: "Pegel des Raums", you: "Sie", the_room: "Raum",
    device_input: "Mikrofon", device_output: "Lautsprecher", device_default: "Standard", device_cleaned: "Echo und Rauschen mindern",
    person_you: "{name} (Sie)", person_muted: "stumm", person_speaking: "spricht", person_unrecorded: "wird nicht aufgenommen", person_level: "Pegel von {name}",
    person_mute: "Stumm", person_unmute: "Stumm aus", person_mute_who: "{name} stummschalten", person_unmute_who: "Stummschaltung von {name} aufheben", person_remove: "Entfernen", person_remove_who: "{name} aus dem Raum entfernen",
    kind_webrtc: "per Browser", kind_websocket: "per Datenstrom", kind_file: "eine Datei", kind_echo: "Echo", kind_phone: "per Telefon", kind_sip: "per Telefon", kind_rtp: "per Telefon", kind_http: "hochgeladen", kind_agent: "ein Agent",
    play_open: "Datei im Raum abspielen", play_now: "Eine Datei läuft ({length})", play_stop: "Anhalten",
    agent: "Agent", agent_in: "Agenten dazubitten", agent_away: "Fortschicken", agent_none: "Hier spricht kein Agent.", agent_listens: "Hört zu", agent_thinks: "Denkt nach",
    agent_speaks: "Spricht", agent_holds: "Hält inne, jemand spricht", agent_turns: "Die letzten Antworten", agent_answered: "Nach {ms} ms geantwortet", agent_way: "Bis zum Ohr", agent_unheard: "nicht gehört",
    rec_format: "Format", rec_format_ogg: "Opus, klein", rec_format_wav: "WAV, exakt", rec_tracks: "Spuren", rec_tracks_mix: "Alle zusammen",
    rec_tracks_each: "Jede Stimme für sich", rec_tracks_both: "Zusammen und einzeln", rec_start: "Aufnehmen", rec_now: "Nimmt auf", rec_none: "Noch wurde nichts aufgenommen.", rec_no_room: "Öffnen Sie einen laufenden Raum, um ihn aufzunehmen.",
    rec_more: "Mehr zeigen", rec_recording: "Nimmt auf", rec_paused: "Pausiert", rec_finished: "Fertig", rec_interrupted: "Abgebrochen", rec_failed: "Fehlgeschlagen",
    rec_do_pause: "Pause", rec_do_resume: "Fortsetzen", rec_do_stop: "Beenden", rec_do_erase: "Löschen", rec_do_pause_which: "Aufnahme {name} anhalten",
    rec_do_resume_which: "Aufnahme {name} fortsetzen", rec_do_stop_which: "Aufnahme {name} beenden", rec_do_erase_which: "Aufnahme {name} löschen",
    track_mix: "Alle", track_hear: "Abspielen", track_play: "{name} abspielen", track_save: "Herunterladen", track_save_which: "{name} herunterladen",
    erase_title: "Diese Aufnahme löschen?", erase_text: "{name} wird endgültig vom Server entfernt.", erase_yes: "Löschen",
    stages: "Schritte des Servers", stages_empty: "In den letzten Minuten wurde nichts gemessen.", stages_note: "Die Hälfte, 95 % und 99 % der letzten {minutes} Minuten dauerten höchstens so lange (ms).",
    stage_packet_to_frame: "Paket zu Klang", stage_vad: "Stimme oder nicht", stage_asr_partial: "Live-Worte", stage_asr_final: "Endgültige Worte", stage_voices: "Wessen Stimme", stage_turn: "Ende der Rede",
    stage_llm_first_token: "Erster Gedanke", stage_tts_first_audio: "Erster Ton der Antwort", stage_ear_to_text: "Vom Ohr zum Text", stage_ear_to_ear: "Vom Ohr zum Ohr",
    stage_count: "{stage}, {count}-mal gemessen", p50: "die Hälfte binnen", p95: "95 Prozent binnen", p99: "99 Prozent binnen",
    sent_key: "{name} drückte {digit}",
    talk: "Wer gesprochen hat", talk_empty: "Noch hat niemand gesprochen.", talk_of: "{name} sprach {time}", speaker_unknown: "Unbekannte Stimme", speaker_voice: ", Stimme {number}",
    offer: "Ist „{now}“ {name}?", offer_yes: "Ja", offer_no: "Nein",
    telephone: "Telefon", dial_head: "Anrufen", dial_to: "Nummer oder Adresse", dial_into: "Danach", dial_listen: "in einem eigenen Raum zuhören", dial_go: "Anrufen",
    dial_placed: "Rufe {whom} an", keypad: "Tasten eines Telefons", key_star: "Stern", key_hash: "Raute",
    phone_live: "Am Apparat", phone_live_empty: "Gerade telefoniert niemand.", phone_over: "Zuletzt", phone_over_empty: "Seit dem Start dieses Servers hat niemand angerufen.",
    phone_unseen: "Und {count} weitere.", phone_stale: "Der Server antwortet nicht: So war es zuletzt. Neuer Versuch läuft.",
    phone_queued: "wählt", phone_ringing: "klingelt", phone_in_progress: "spricht", phone_completed: "beendet", phone_busy: "besetzt", phone_no_answer: "nicht abgenommen",
    phone_canceled: "abgebrochen", phone_failed: "fehlgeschlagen", phone_inbound: "Eingehender Anruf", phone_outbound: "Ausgehender Anruf", phone_anonymous: "Unbekannte Nummer",
    phone_is_held: "gehalten", phone_holds_us: "hält Sie", phone_is_muted: "stumm", phone_since: "seit {time}", phone_dialled: "wählte", phone_as: "als", phone_by: "über {trunk}",
    phone_took_human: "ein Mensch nahm ab", phone_took_machine: "eine Maschine nahm ab", phone_took_fax: "ein Fax nahm ab", phone_took_unknown: "unklar, wer abnahm",
    phone_refused: "abgelehnt mit {status}", phone_sounds_good: "klingt gut ({mos})", phone_sounds_fair: "klingt mäßig ({mos})", phone_sounds_bad: "klingt schlecht ({mos})",
    phone_lost: "{percent} % verloren", phone_jitter: "Jitter {ms} ms", phone_round_trip: "{ms} ms hin und zurück",
    phone_hangup: "Auflegen", phone_hold: "Halten", phone_resume: "Fortsetzen", phone_mute: "Stumm", phone_unmute: "Stumm aus", phone_keys: "Tasten", phone_transfer: "Verbinden",
    phone_transcript: "Transkript", phone_again: "Wieder wählen", phone_what_who: "{what}: {who}", phone_pressed: "Gesendet: {keys}",
    phone_transfer_to: "An eine Nummer oder Adresse", phone_transfer_call: "Oder mit einem anderen Anruf", phone_transfer_nobody: "mit keinem", phone_transfer_go: "Übergeben", phone_transferring: "Frage an…",
    trunks: "Leitungen nach draußen", trunk_up: "in Betrieb", trunk_down: "antwortet nicht", trunk_registered: "angemeldet", trunk_unregistered: "nicht angemeldet", trunk_call: "{count} Anruf", trunk_calls: "{count} Anrufe",
    e_dial_not_allowed: "Das darf nicht gewählt werden.", e_dial_no_trunk: "Es gibt keine Leitung nach draußen.", e_dial_bad_number: "Das ist keine Nummer und keine Adresse.",
    e_dial_not_reachable: "Dort ist niemand erreichbar.", e_dial_limit: "Zu viele Anrufe für den Moment. Versuchen Sie es in {s} Sekunden erneut.",
    e_not_transferred: "Die Gegenseite hat die Übergabe nicht angenommen.", e_not_taken: "Verbinden geht nur mit einem Anruf, der angenommen wurde.",
    e_call_title: "Das Gespräch ist zu Ende", e_call_no_path: "Es kam keine Verbindung für den Ton zustande. Vielleicht sperrt eine Firewall UDP zwischen Ihnen und dem Server.",
    e_call_sent_out: "Sie wurden aus dem Raum entfernt.", e_call_room_closed: "Der Raum wurde geschlossen.", e_join_title: "Sie konnten nicht beitreten",
    key_title: "Dieser Server verlangt einen Schlüssel", key_text: "Ihre Verwaltung erzeugt ihn mit „harmony keys create“. Er bleibt, bis Sie diesen Tab schließen.",
    key_label: "API-Schlüssel", key_use: "Weiter", key_wrong: "Der Server kennt diesen Schlüssel nicht.",
    e_mic_title: "Das Mikrofon ist nicht verfügbar", e_mic_refused: "Der Browser darf es nicht benutzen. Erlauben Sie das Mikrofon für diese Seite in der Adressleiste und versuchen Sie es erneut.",
    e_mic_none: "Es wurde kein Mikrofon gefunden. Schließen Sie eines an oder ziehen Sie eine Aufnahme hierher.",
    e_mic_busy: "Ein anderes Programm benutzt das Mikrofon. Beenden Sie es dort und versuchen Sie es erneut.",
    e_mic_insecure: "Browser geben das Mikrofon nur an Seiten über https oder localhost. Eine Datei zu senden geht auch hier.",
    e_models_title: "Kein Sprachmodell installiert", e_models: "Führen Sie diesen Befehl auf dem Server aus und starten Sie ihn neu.",
    e_full_title: "Der Server ist voll", e_full: "Alle Plätze sind belegt. Versuchen Sie es in {s} Sekunden erneut.", e_full_soon: "Alle Plätze sind belegt. Versuchen Sie es gleich noch einmal.",
    e_gone_title: "Diesen Raum gibt es nicht mehr", e_gone: "Er wurde geschlossen oder vergessen. Beginnen Sie einen neuen.",
    e_reach_title: "Der Server antwortet nicht", e_reach: "Prüfen Sie, ob harmony noch läuft. Die Seite versucht es weiter.",
    e_file_title: "Diese Datei ließ sich nicht lesen", e_other_title: "Das hat nicht geklappt", e_draining_title: "Der Server fährt herunter",
  },
};

const REMEMBERED = "harmony.language";
let language = begin();
const listeners = new Set();

function begin() {
  const remembered = localStorage.getItem(REMEMBERED);
  if (remembered in words) return remembered;
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2));
  return wanted.find((tag) => tag in words) ?? "en";
}

export function current_language() {
  return language;
}

/** The words for `key`, with `{name}` replaced from `values`. */
export function t(key, values = {}) {
  const text = words[language][key] ?? words.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Calls `listener` whenever the language changes. */
export function on_language(listener) {
  listeners.add(listener);
}

/** Changes the language, remembers it and writes the page anew. */
export function speak(tag) {
  language = tag;
  localStorage.setItem(REMEMBERED, tag);
  translate_page();
  for (const listener of listeners) listener();
}

/** Writes every element that names its words. */
function translate_page() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
}

/** `73.4` as `1:13`; hours appear when they are needed. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

/** `73.42` as `1:13.42`, for a word's own times. */
export function fine_clock(seconds) {
  const hundredths = String(Math.floor((Math.max(0, seconds) % 1) * 100)).padStart(2, "0");
  return `${clock(seconds)}${language === "de" ? "," : "."}${hundredths}`;
}

/** An ISO day as people write it: `Friday, 6 March`. What is no day is shown as it came. */
export function day(iso) {
  const parsed = new Date(`${iso}T12:00:00`);
  if (Number.isNaN(parsed.getTime())) return iso;
  return parsed.toLocaleDateString(language === "de" ? "de-DE" : "en-GB", { weekday: "short", day: "numeric", month: "short" });
}

/** The hour of the day: of a moment in ISO 8601, or now. */
export function hour_of(iso) {
  const at = iso === undefined ? new Date() : new Date(iso);
  return at.toLocaleTimeString(language === "de" ? "de-DE" : "en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** A moment in ISO 8601 as a day and an hour. */
export function when(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  return `${at.toLocaleDateString(language === "de" ? "de-DE" : "en-GB", { day: "numeric", month: "short" })}, ${hour_of(iso)}`;
}

/** How large a file is: `3.4 MB`. */
export function bytes_in_words(bytes) {
  const [unit, size] = bytes < 1e6 ? ["kilobyte", bytes / 1e3] : bytes < 1e9 ? ["megabyte", bytes / 1e6] : ["gigabyte", bytes / 1e9];
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: size < 10 ? 1 : 0 }).format(size);
}

/** A language's own name for a person: `en` as `English` or `Englisch`. */
export function language_name(tag) {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}
