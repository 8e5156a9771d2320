// Keeps the page as it is now, and ticks all rows at once. Without it the page does the same by links and forms.
"use strict";
(() => {
  const EVERY_MS = 5000;
  const notice = document.getElementById("notice");
  const list = document.getElementById("letter-list");
  let failures = 0;

  const boxes = () => [...document.querySelectorAll('#letter-list input[name="job"]')];

  function say(words) {
    if (notice && notice.textContent !== words) notice.textContent = words;
  }

  function count() {
    const all = document.getElementById("all-here");
    const ticked = boxes().filter((box) => box.checked).length;
    const told = document.getElementById("ticked");
    if (told) told.textContent = ticked ? `${ticked} ticked` : "";
    if (all) {
      all.hidden = false;
      all.checked = ticked > 0 && ticked === boxes().length;
      all.indeterminate = ticked > 0 && !all.checked;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "all-here") boxes().forEach((box) => { box.checked = event.target.checked; });
    if (event.target.closest("#letter-list")) count();
  });

  // Somebody is choosing: rows must not move under the pointer.
  function isHeld(section) {
    return section.hasAttribute("data-hold") && boxes().some((box) => box.checked);
  }

  function replace(section, fresh) {
    if (section.dataset.was === fresh.innerHTML) return;
    if (isHeld(section)) {
      section.dataset.changed = "1";
      return;
    }
    const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
    const left = [...section.querySelectorAll(".wide")].map((box) => box.scrollLeft);
    section.dataset.was = fresh.innerHTML;
    section.className = fresh.className;
    section.replaceChildren(...fresh.childNodes);
    section.querySelectorAll(".wide").forEach((box, index) => { box.scrollLeft = left[index] || 0; });
    delete section.dataset.changed;
    const again = focused && document.getElementById(focused);
    if (again && section.contains(again)) again.focus({ preventScroll: true });
    if (section === list) count();
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) return "Your session has ended: load the page again, and log in.";
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) {
      const why = fresh.querySelector("[data-problem] .note");
      return `${why ? why.textContent : `The page answers ${answer.status}`}. What you see is old.`;
    }
    for (const section of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(section.id);
      if (other) replace(section, other);
    }
    return list && list.dataset.changed ? "The dead letters have changed. They stay as they are while some are ticked." : "";
  }

  async function turn() {
    if (!document.hidden) {
      try {
        say(await refresh());
        failures = 0;
      } catch {
        say("The page cannot be reached. What you see is old.");
        failures += 1;
      }
    }
    setTimeout(turn, EVERY_MS * Math.min(1 + failures, 6));
  }

  async function comeBack() {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      // Not reload(), which would post again what was posted; where nothing is got, to the page.
      if (answer.status < 500) location.replace(answer.ok ? location.href.split("#")[0] : document.querySelector("a.name").href);
    } catch { /* not yet */ }
    setTimeout(comeBack, EVERY_MS);
  }

  document.querySelectorAll("[data-live]").forEach((section) => { section.dataset.was = section.innerHTML; });
  count();
  const report = document.getElementById("report");
  if (report) report.focus({ preventScroll: true });
  if (document.querySelector("[data-live]")) setTimeout(turn, EVERY_MS);
  if (document.querySelector('[data-problem="503"]')) setTimeout(comeBack, EVERY_MS);
})();
