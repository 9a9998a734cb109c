// Which columns of a wide grid are drawn: those in view, and then some beside them, one in each frame, so that no frame has much to do.

/** So many more on each side, so that a scroll finds some drawn. */
const MARGIN = 3;
/** Before anything was measured. */
const FIRST = 5;

export class ColumnsInView {
  first = $state(0);
  last = $state(FIRST);
  /** While something is dragged nothing may be taken away. */
  isHeld = false;
  readonly #count: () => number;
  #look: () => void = () => {};
  /** In view when it was last measured. */
  #from = 0;
  #to = FIRST;

  constructor(count: () => number) {
    this.#count = count;
  }

  /** All of them will be others: those in view come first. */
  begin(): void {
    [this.first, this.last] = [this.#from, this.#to];
    this.#look();
  }

  /** An attachment: looks when the grid is scrolled or resized. */
  watch = (root: HTMLElement): (() => void) => {
    let frame = 0;
    this.#look = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        if (this.#step(root)) this.#look();
      });
    };
    // Scrolling does not bubble, but it is captured.
    root.addEventListener("scroll", this.#look, { capture: true, passive: true });
    const observer = new ResizeObserver(this.#look);
    observer.observe(root);
    return () => {
      root.removeEventListener("scroll", this.#look, { capture: true });
      observer.disconnect();
      cancelAnimationFrame(frame);
    };
  };

  /** One column more, towards what is wanted; whether there are others. */
  #step(root: HTMLElement): boolean {
    const main = root.querySelector<HTMLElement>(".ec-main");
    const count = this.#count();
    if (count === 0 || this.isHeld) return false;
    // The grid itself comes a little later.
    if (!main) return true;
    const side = main.querySelector<HTMLElement>(".ec-sidebar")?.offsetWidth ?? 0;
    const width = (main.scrollWidth - side) / count;
    const from = (this.#from = Math.floor(main.scrollLeft / width));
    const to = (this.#to = Math.min(count - 1, Math.ceil((main.scrollLeft + main.clientWidth - side) / width) - 1));
    const [least, most] = [Math.max(0, from - MARGIN), Math.min(count - 1, to + MARGIN)];
    const isElsewhere = to < this.first || from > this.last;
    // What was drawn stays until the days are others: taking events away costs the calendar more than keeping them.
    let [first, last] = isElsewhere ? [from, to] : [this.first, Math.min(this.last, count - 1)];
    if (!isElsewhere) {
      if (last < to) last++;
      else if (first > from) first--;
      else if (last < most) last++;
      else if (first > least) first--;
    }
    [this.first, this.last] = [first, last];
    return first > least || last < most;
  }
}
