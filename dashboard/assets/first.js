// Runs before anything is drawn: the colour scheme, so that dark pages never flash white, the
// reader's time zone, so that the first plots already show it, and the way to the login.
(function () {
  const root = document.documentElement;
  const chosen = localStorage.getItem("mantine-color-scheme-value") || "auto";
  const system = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.setAttribute("data-mantine-color-scheme", chosen === "auto" ? system : chosen);

  function follow() {
    const scheme = root.getAttribute("data-mantine-color-scheme");
    if (scheme) root.setAttribute("data-ag-theme-mode", scheme);
  }
  follow();
  new MutationObserver(follow).observe(root, {
    attributes: true,
    attributeFilter: ["data-mantine-color-scheme"],
  });

  window.coalmineZone = function () {
    let utc = false;
    try {
      utc = JSON.parse(localStorage.getItem("_dash_persistence.zone.value.true"))[0] === "utc";
    } catch {
      utc = false;
    }
    return utc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  };
  window.coalmineRemember = function (zone) {
    document.cookie =
      "coalmine_zone=" + encodeURIComponent(zone) + "; path=/; max-age=31536000; SameSite=Lax";
  };
  window.coalmineRemember(window.coalmineZone());

  // What stands in the page is asked for at once, and is there when the scripts are.
  const ask = window.fetch;
  const PAGE = ".._pages_content.children..._pages_store.data..";
  const place = (property) => "_pages_location." + property;
  let early = ask("/_dash-update-component", {
    method: "POST",
    credentials: "same-origin",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify({
      output: PAGE,
      outputs: [
        { id: "_pages_content", property: "children" },
        { id: "_pages_store", property: "data" },
      ],
      inputs: ["pathname", "search"].map((property) => ({
        id: "_pages_location",
        property,
        value: location[property],
      })),
      changedPropIds: [place("pathname"), place("search")],
      parsedChangedPropsIds: [place("pathname"), place("search")],
    }),
  });
  early.catch(() => {});
  function known(given) {
    const promise = early;
    if (!promise || !String(given[0]).includes("/_dash-update-component")) return null;
    const wanted = JSON.parse(given[1].body);
    if (wanted.output !== PAGE) return null;
    early = null; // it answers once: where the reader goes then is asked for then
    const here = wanted.inputs.every((input) => input.value === location[input.property]);
    return here ? promise : null;
  }

  // A session that has ended: the next answer is 401, and the page asks for a login.
  window.fetch = async function (...given) {
    const answer = await (known(given) || ask.apply(window, given));
    if (answer.status === 401) {
      const here = location.pathname + location.search;
      location.assign("/login?next=" + encodeURIComponent(here));
    }
    return answer;
  };
})();
