// The order of a page's first drawing: the plots that can be seen, each in a task of its own, so
// that one is on the screen before the next begins; then, while the browser is idle, the others.
(function () {
  "use strict";
  const LONGEST_MS = 5000;
  const waiting = [];
  const react = window.Plotly.react;
  let isBusy = false;
  const painted = (task) => requestAnimationFrame(() => setTimeout(task));
  const idle = (task) => (window.requestIdleCallback || setTimeout)(task, { timeout: 400 });

  function isSeen(node) {
    const { top, bottom } = node.getBoundingClientRect();
    return bottom > 0 && top < window.innerHeight;
  }
  function next() {
    const seen = waiting.findIndex(({ plot }) => isSeen(plot));
    const [{ plot, draw }] = waiting.splice(Math.max(0, seen), 1);
    // one that is gone, because the reader went on, needs no drawing
    Promise.resolve(plot.isConnected && draw()).finally(() => {
      isBusy = waiting.length > 0;
      if (!isBusy) return;
      if (document.hidden) setTimeout(next); // no frames there
      else if (waiting.some((other) => isSeen(other.plot))) painted(next);
      else painted(() => idle(next));
    });
  }
  window.Plotly.react = (plot, ...how) => {
    if (plot.classList.contains("js-plotly-plot")) return react(plot, ...how);
    return new Promise((done, failed) => {
      waiting.push({ plot, draw: () => react(plot, ...how).then(done, failed) });
      if (isBusy) return;
      isBusy = true;
      setTimeout(next); // the others of the page come in the same task as this one
    });
  };

  // Resolves when the plots that can be seen are there, and the browser has nothing else to do.
  window.coalminePlotted = async () => {
    const began = Date.now();
    await new Promise((done) => setTimeout(done)); // whoever asks is not in the document yet
    const isDue = (plot) => isSeen(plot) && !plot.querySelector(".main-svg");
    while (Date.now() - began < LONGEST_MS && [...document.querySelectorAll(".plot")].some(isDue)) {
      await new Promise((done) => setTimeout(done, 20));
    }
    if (document.querySelector(".plot")) await new Promise(idle);
  };
})();
