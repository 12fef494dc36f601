// The level of the microphone as a quiet moving row of bars, newest on the right.
//
// Draws on the browser's own frames while there is sound to show; costs nothing otherwise.

const BAR_PX = 3;
const GAP_PX = 3;
const FLOOR_DB = -60;
const TELL_EVERY_MS = 1000;

export class Meter {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.levels = [];
    this.pending = 0;
    this.told_ms = 0;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Takes the root mean square of one frame, 0..=1. */
  push(rms) {
    const db = rms > 0 ? Math.max(FLOOR_DB, 20 * Math.log10(rms)) : FLOOR_DB;
    this.heard = Math.max(this.heard ?? FLOOR_DB, db);
    this.pending += 1;
    // Two frames a bar: the row moves at a pace that eyes can follow.
    if (this.pending < 2) return;
    this.levels.push((this.heard - FLOOR_DB) / -FLOOR_DB);
    this.tell(this.heard);
    this.pending = 0;
    this.heard = FLOOR_DB;
    requestAnimationFrame(() => this.draw());
  }

  clear() {
    this.levels = [];
    this.draw();
  }

  tell(db) {
    const now_ms = performance.now();
    if (now_ms - this.told_ms < TELL_EVERY_MS) return;
    this.told_ms = now_ms;
    this.canvas.setAttribute("aria-valuenow", String(Math.round(db)));
  }

  draw() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.canvas.width !== Math.round(width * scale)) this.canvas.width = Math.round(width * scale);
    if (this.canvas.height !== Math.round(height * scale)) this.canvas.height = Math.round(height * scale);
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.pen.clearRect(0, 0, width, height);
    const bars = Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX));
    this.levels.splice(0, Math.max(0, this.levels.length - bars));
    const style = getComputedStyle(this.canvas);
    for (let bar = 0; bar < bars; bar += 1) {
      const level = this.levels[this.levels.length - bars + bar] ?? 0;
      const tall = Math.max(BAR_PX, level * level * height);
      this.pen.fillStyle = level > 0.05 ? style.color : style.borderColor;
      this.pen.globalAlpha = level > 0.05 ? 0.35 + 0.65 * (bar / bars) : 1;
      this.pen.beginPath();
      this.pen.roundRect(bar * (BAR_PX + GAP_PX), (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      this.pen.fill();
    }
  }
}
