// What the browser does by itself: ages, the stale banner, local times, cells of the grids.
(function () {
  "use strict";
  const noUpdate = () => window.dash_clientside.no_update;
  let zone = window.coalmineZone ? window.coalmineZone() : "UTC";
  let fresh = null; // last freshness data, and when it came by this browser's clock
  let freshAt = Date.now();

  // ---- times ------------------------------------------------------------------------------
  const formats = new Map();
  function formatter(kind) {
    const key = kind + zone;
    if (!formats.has(key)) {
      const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
      const date = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
      formats.set(
        key,
        new Intl.DateTimeFormat("en-GB", { ...(kind === "date" ? date : kind === "date_seconds" ? { ...date, ...time } : time), timeZone: zone })
      );
    }
    return formats.get(key);
  }
  function ago(ms) {
    const s = Math.max(0, (Date.now() - ms) / 1000);
    if (s < 60) return Math.floor(s) + " s ago";
    if (s < 3600) return Math.floor(s / 60) + " min ago";
    if (s < 86400) return Math.floor(s / 3600) + " h ago";
    return Math.floor(s / 86400) + " d ago";
  }
  function spoken(ms, mode) {
    return mode === "ago" ? ago(ms) : formatter(mode).format(new Date(ms));
  }
  function utc(ms) {
    return new Date(ms).toISOString().replace("T", " ").slice(0, 19) + " UTC";
  }
  function showTimes() {
    for (const node of document.querySelectorAll("time[data-ms]")) {
      const text = spoken(Number(node.dataset.ms), node.dataset.mode);
      // the text node belongs to React: change its value, never replace it
      if (node.firstChild && node.firstChild.nodeValue !== text) node.firstChild.nodeValue = text;
    }
  }
  new MutationObserver(showTimes).observe(document.documentElement, {
    childList: true,
    characterData: true,
    subtree: true,
  });

  // ---- callbacks --------------------------------------------------------------------------
  let beats = 0;
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    coalmine: {
      beat: () => (document.hidden ? noUpdate() : ++beats),
      zoned_beat: () => (document.hidden ? noUpdate() : { beat: ++beats, zone }),
      zone: (value) => {
        zone = value === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
        window.coalmineRemember(zone);
        showTimes();
        for (const node of document.querySelectorAll("[data-grid-ms]")) {
          node.textContent = spoken(Number(node.dataset.gridMs), node.dataset.mode);
        }
        return noUpdate();
      },
      fresh: (data) => {
        fresh = data;
        freshAt = Date.now();
        return data;
      },
      age: (_seconds, _data, watch) => {
        showTimes();
        if (fresh && fresh.still) {
          // a page that asks once: what it shows stays right, but the next one could not be read
          const away = watch && watch.error;
          return ["", "age age-still", away ? "STALE · " + away + ". Nothing new can be read." : "", !away];
        }
        if (!fresh) return ["connecting", "age", "", true];
        const silent = (Date.now() - freshAt) / 1000;
        const age = fresh.as_of ? (fresh.server_now - fresh.as_of) / 1000 + silent : null;
        const told = age === null ? "no data yet" : "updated " + seconds(age) + " ago";
        let why = "";
        if (silent > 6 && !document.hidden) why = "The dashboard's server does not answer.";
        else if (fresh.error) why = fresh.error + ".";
        else if (fresh.last_look && fresh.server_now - fresh.last_look > 30000)
          why =
            "No new verdict for " +
            seconds((fresh.server_now - fresh.last_look) / 1000 + silent) +
            ": no traffic, or the stream worker or the indexer is behind.";
        if (!why) return [told, "age age-live", "", true];
        const old = age === null ? "Nothing could be read yet." : "Data are " + seconds(age) + " old.";
        return [told, "age age-stale", "STALE · " + why + " " + (fresh.last_look && !fresh.error && silent <= 6 ? "" : old), false];
      },
      offered: (data, ids) => ids.map((id) => !(data && data.offered && data.offered[id.action])),
      reasoned: (reason) => !(reason || "").trim(),
      who: async () => {
        const answer = await fetch("/whoami");
        const { user, can_sign_out: can } = answer.ok ? await answer.json() : {};
        return [user || "", !can];
      },
      crumbs: (pathname) => {
        const group = /^\/s\/([^/]+)\/crashes\//.exec(pathname || "");
        if (group) return decodeURIComponent(group[1]) + " / crash";
        const parts = /^\/s\/([^/]+)\/r\/([^/]+)$/.exec(pathname || "");
        if (!parts) return "";
        return decodeURIComponent(parts[1]) + " / " + decodeURIComponent(parts[2]);
      },
    },
  });
  function seconds(s) {
    if (s < 60) return Math.max(0, Math.round(s)) + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
    return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  }

  // ---- what a reader takes along: the address of a page, the numbers of a plot -------------------
  function cell(value) {
    let text = value === null || value === undefined ? "" : String(value);
    // text of telemetry must not become a formula of a spreadsheet
    if (/^[=+@\t\r-]/.test(text) && isNaN(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  }
  function csv(traces) {
    const rows = [["series", "x", "y", "note"]];
    for (const trace of traces) {
      (trace.x || []).forEach((x, at) => rows.push([trace.name, x, trace.y[at], (trace.customdata || [])[at]]));
    }
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }
  function save(name, text) {
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    anchor.download = name.replace(/[^\w.-]+/g, "-").toLowerCase() + ".csv";
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-take]");
    if (!button) return;
    if (button.dataset.take === "link") {
      navigator.clipboard.writeText(location.href).then(() => {
        button.dataset.done = "copied";
        setTimeout(() => delete button.dataset.done, 2000);
      });
      return;
    }
    const plot = button.closest(".card").querySelector(".js-plotly-plot");
    if (!plot) return;
    const title = button.closest(".card").querySelector(".card-title").textContent;
    if (button.dataset.take === "csv") save(title, csv(plot.data));
    else window.Plotly.downloadImage(plot, { format: "png", scale: 2, width: 1000, height: 420, filename: title });
  });

  // ---- the grid's script: large, and below the plots, so it comes after them -------------------
  const grid = {};
  function loadGrid() {
    if (!grid.loaded) {
      grid.loaded = new Promise((done, failed) => {
        const script = document.createElement("script");
        script.src = document.querySelector("meta[name=coalmine-grid]").content;
        script.onload = () => {
          const real = window.dash_ag_grid;
          // a grid that is drawn keeps its kind: another one would be drawn anew
          window.dash_ag_grid = Object.assign({}, real, { AgGrid: LateGrid });
          done({ default: real.AgGrid });
        };
        script.onerror = failed;
        document.head.append(script);
      });
    }
    return grid.loaded;
  }
  function LateGrid(props) {
    const React = window.React;
    grid.Real = grid.Real || React.lazy(() => window.coalminePlotted().then(loadGrid));
    const waiting = React.createElement("div", { className: "grid-waiting", "aria-busy": "true" });
    return React.createElement(React.Suspense, { fallback: waiting }, React.createElement(grid.Real, props));
  }
  LateGrid.dashRenderType = true;
  window.dash_ag_grid = { AgGrid: LateGrid };

  // ---- grid -------------------------------------------------------------------------------
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.asShare = (v) => (v === null || v === undefined ? "–" : +(100 * v).toPrecision(2) + " %");
  functions.asCount = (v) => Number(v).toLocaleString("en-US").replaceAll(",", "\u202f");
  functions.asPercent = (v) => (v === null || v === undefined ? "–" : +Number(v).toPrecision(3) + " %");
  functions.asMs = (v) =>
    v === null || v === undefined ? "–" : v >= 1000 ? +(v / 1000).toPrecision(3) + " s" : (v >= 10 ? Math.round(v) : +v.toPrecision(2)) + " ms";
  functions.asExpected = (v) => (v === null || v === undefined ? "–" : "≤ " + seconds(v));
  functions.byWord = (a, b) => a.word.localeCompare(b.word);
  functions.byRank = (_a, _b, first, second) => first.data.rank - second.data.rank;

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const make = (...parts) => window.React.createElement(...parts);
  const iconOf = (name) => make("span", { className: "icon icon-" + name, "aria-hidden": true });

  cells.Chip = ({ value }) =>
    make("span", { className: "badge tone-" + value.tone }, iconOf(value.icon), value.word);

  const link = (href, text, title) =>
    make(
      "a",
      {
        href,
        className: "cell-link",
        title,
        onClick: (event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          history.pushState({}, "", href);
          window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
          window.scrollTo(0, 0);
        },
      },
      text
    );

  cells.RolloutLink = ({ data }) => link(data.href, data.service, data.reason);

  cells.NameLink = ({ data, value }) => link(data.href, value);

  cells.CountLink = ({ data, value, column }) =>
    value ? link(data[column.getColId() + "_href"], functions.asCount(value)) : "0";

  cells.CrashLink = ({ data }) =>
    make(
      "span",
      { className: "two-lines" },
      make("span", { className: "line-strong" }, link(data.href, data.title)),
      make("span", { className: "dim-line" }, data.culprit)
    );

  cells.Phase = ({ data }) => {
    const shares = [];
    const near = data.share !== null && Math.abs(data.share - data.exposure) < 0.2 * data.exposure;
    if (data.share !== null) shares.push(functions.asShare(data.share) + " seen");
    if (data.exposure !== null && !near) shares.push(functions.asShare(data.exposure) + " set");
    return make(
      "span",
      { className: "two-lines", title: data.held ? "held, because " + data.held : undefined },
      make("span", { className: "line-strong" }, data.phase, data.held ? " · held" : ""),
      make("span", { className: "dim-line" }, shares.join(", "))
    );
  };

  cells.Trend = ({ value }) => {
    if (!value || !value.length) return make("span", { className: "dim" }, "–");
    const most = Math.max(1, ...value);
    const label = "at most " + Math.max(...value) + ", lately " + value[value.length - 1];
    return make(
      "svg",
      { viewBox: "0 0 " + value.length * 3 + " 24", className: "trend", role: "img", "aria-label": label, preserveAspectRatio: "none" },
      value.map((count, at) => {
        const height = count ? Math.max(2, (24 * count) / most) : 0;
        return make("rect", { key: at, x: 3 * at, y: 24 - height, width: 2.4, height });
      })
    );
  };

  cells.Releases = ({ data }) =>
    make(
      "span",
      null,
      make("b", null, data.canary),
      make("span", { className: "dim" }, " beside " + data.baseline)
    );

  cells.EvidenceBar = ({ data }) => {
    const share = Math.max(0, Math.min(1, data.needed > 0 ? data.evidence / data.needed : 0));
    const text = Math.round(100 * share) + " %";
    return make(
      "span",
      { className: "bar-cell", title: "10^" + data.evidence + " of 10^" + data.needed + " : 1" },
      make(
        "span",
        { className: "bar", role: "img", "aria-label": text + " of the evidence for a rollback" },
        make("span", { className: share >= 1 ? "bar-full" : "bar-part", style: { width: 100 * share + "%" } })
      ),
      make("span", { className: "bar-text" }, text)
    );
  };

  cells.Moment = ({ value }) =>
    make(
      "span",
      { title: utc(value), "data-grid-ms": value, "data-mode": "date" },
      spoken(value, "date")
    );

  cells.CrashTitle = ({ data }) =>
    make(
      "span",
      { className: "two-lines" },
      make("span", { className: "line-strong" }, data.title),
      make("span", { className: "dim-line" }, data.culprit)
    );

  cells.FirstRelease = ({ data }) =>
    make(
      "span",
      null,
      data.first_release,
      data.new ? make("span", { className: "badge tone-bad badge-new" }, "New") : null
    );
})();
