// A row of tabs over panels, as ARIA describes them: arrows move, one panel shows, the others are out of the way.

export class Tabs {
  /** `on_choose(name)` whenever another panel shows. Tabs name their panel by `aria-controls`. */
  constructor(list, on_choose) {
    Object.assign(this, { tabs: [...list.querySelectorAll("[role=tab]")], on_choose });
    for (const tab of this.tabs) tab.addEventListener("click", () => this.choose(tab.dataset.tab));
    list.addEventListener("keydown", (event) => this.on_key(event));
  }

  on_key(event) {
    const now = this.tabs.indexOf(document.activeElement);
    const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: this.tabs.length - 1 };
    if (now < 0 || !(event.key in steps)) return;
    event.preventDefault();
    const tab = this.tabs.at(steps[event.key] % this.tabs.length);
    this.choose(tab.dataset.tab);
    tab.focus();
  }

  choose(name) {
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
    this.on_choose(name);
  }
}
