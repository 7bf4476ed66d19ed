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

  // A session that has ended: the next answer is 401, and the page asks for a login.
  const ask = window.fetch;
  window.fetch = async function (...given) {
    const answer = await ask.apply(window, given);
    if (answer.status === 401) {
      const here = location.pathname + location.search;
      location.assign("/login?next=" + encodeURIComponent(here));
    }
    return answer;
  };
})();
