// Renews the connectors page every 2 seconds without moving focus or scroll. Without this script the
// page's meta refresh does it. Numbers are replaced always; buttons only while nothing in them has focus.
"use strict";
const renew = async () => {
  try {
    if (document.hidden) return;
    const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live],[data-live-idle]")) {
      const other = fresh.getElementById(part.id);
      const busy = "liveIdle" in part.dataset && part.contains(document.activeElement);
      if (other && !busy && other.innerHTML !== part.innerHTML) {
        part.replaceChildren(...other.cloneNode(true).childNodes);
      }
    }
  } catch {
    // The hub is away: what is shown stays, and the next round tries again.
  } finally {
    setTimeout(renew, 2000);
  }
};
setTimeout(renew, 2000);
