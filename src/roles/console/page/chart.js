// The last minutes of one figure, drawn by hand: an area, its highest value, and a cross-hair to read it by.

export class Chart {
  #canvas;
  #values = [];
  #format;
  #name;
  #colour;
  #floor;
  #base;
  #pointer = null;
  #drawn = false;

  // `floor`: the least height of the scale, so that noise near nothing is not blown up. `base`: what its units are
  // powers of, so that the figure at its top is a round one.
  constructor(canvas, { name, format, colour, floor, base = 1000 }) {
    this.#canvas = canvas;
    this.#name = name;
    this.#format = format;
    this.#colour = colour;
    this.#floor = floor;
    this.#base = base;
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // The newest value last, one a second; `null` where nothing is known.
  set(values) {
    this.#values = values.slice(-POINTS);
    this.draw();
  }

  push(value) {
    this.#values.push(value);
    if (this.#values.length > POINTS) this.#values.shift();
    this.draw();
  }

  highest() {
    return this.#values.reduce((most, value) => Math.max(most, value ?? 0), 0);
  }

  #point(x) {
    this.#pointer = x;
    this.draw();
  }

  draw() {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      this.#paint();
    });
  }

  #paint() {
    const canvas = this.#canvas;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    const scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const cx = canvas.getContext("2d");
    cx.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = style.getPropertyValue(this.#colour);
    const faint = style.getPropertyValue("--line");
    const dim = style.getPropertyValue("--dim");
    const most = this.highest();
    const top = Math.max(nice(most, this.#base), this.#floor);
    const letters = parseFloat(style.fontSize);
    const y = (value) => height - 1 - (value / top) * (height - letters - 4);
    const x = (index) => width - 1 - ((this.#values.length - 1 - index) / (POINTS - 1)) * (width - 2);

    cx.strokeStyle = faint;
    cx.lineWidth = 1;
    for (let minute = 1; minute < 5; minute += 1) {
      const at = Math.round(width - (minute * 60 * width) / POINTS) + 0.5;
      line(cx, at, letters + 2, at, height);
    }
    line(cx, 0, height - 0.5, width, height - 0.5);
    line(cx, 0, Math.round(y(top)) + 0.5, width, Math.round(y(top)) + 0.5);
    this.#area(cx, x, y, colour, height);

    cx.font = `${letters}px ${style.fontFamily}`;
    cx.fillStyle = dim;
    cx.textAlign = "left";
    if (this.#pointer === null) {
      cx.fillText(this.#format(top), 0, letters - 1);
      cx.textAlign = "right";
      cx.fillText("5 min", width, letters - 1);
    } else {
      this.#crossHair(cx, x, y, { width, height, letters }, colour, style.getPropertyValue("--ink"));
    }
    const now = this.#values.at(-1) ?? 0;
    canvas.setAttribute(
      "aria-label",
      `${this.#name}, last five minutes: now ${this.#format(now)}, highest ${this.#format(most)}`,
    );
  }

  #area(cx, x, y, colour, height) {
    let begun = null;
    const flush = (end) => {
      if (begun === null) return;
      const path = new Path2D();
      for (let index = begun; index < end; index += 1) {
        path.lineTo(x(index), y(this.#values[index]));
      }
      cx.strokeStyle = colour;
      cx.lineWidth = 1.5;
      cx.lineJoin = "round";
      cx.stroke(path);
      path.lineTo(x(end - 1), height);
      path.lineTo(x(begun), height);
      cx.globalAlpha = 0.14;
      cx.fillStyle = colour;
      cx.fill(path);
      cx.globalAlpha = 1;
      begun = null;
    };
    this.#values.forEach((value, index) => {
      if (value === null) flush(index);
      else begun ??= index;
    });
    flush(this.#values.length);
  }

  #crossHair(cx, x, y, { width, height, letters }, colour, ink) {
    const ago = Math.round(((width - this.#pointer) / width) * (POINTS - 1));
    const index = this.#values.length - 1 - ago;
    const value = this.#values[index];
    cx.fillStyle = ink;
    const text = value == null ? "no data" : this.#format(value);
    cx.fillText(`${text}, ${ago} s ago`, 0, letters - 1);
    if (value == null) return;
    cx.strokeStyle = colour;
    line(cx, x(index), Math.min(y(value), height), x(index), height);
    cx.fillStyle = colour;
    cx.beginPath();
    cx.arc(x(index), y(value), 3, 0, 7);
    cx.fill();
  }
}

// What is drawn has its colours from the page, which may go from light to dark while nothing new comes.
export function onColours(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function line(cx, fromX, fromY, toX, toY) {
  cx.beginPath();
  cx.moveTo(fromX, fromY);
  cx.lineTo(toX, toY);
  cx.stroke();
}

// The next round number: 1, 2 or 5 times a power of ten, in units that are powers of `base`.
function nice(value, base) {
  if (value <= 0) return 0;
  const unit = base === 1000 ? 1 : base ** Math.max(0, Math.floor(Math.log(value) / Math.log(base)));
  const power = 10 ** Math.floor(Math.log10(value / unit));
  return unit * [1, 2, 5, 10].map((factor) => factor * power).find((round) => round * unit >= value);
}

// One a second, five minutes.
const POINTS = 300;
