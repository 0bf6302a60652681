// Replaces the numbers of the overview while it is open. Pages work without it.
"use strict";

const live = document.querySelector("[data-events]");

function each(name, id, change) {
  document.querySelectorAll(`[data-${name}="${CSS.escape(id)}"]`).forEach(change);
}

function say(state, word) {
  live.dataset.state = state;
  document.getElementById("live-word").textContent = word;
}

function show(id, line) {
  each("number", id, (place) => { place.textContent = line.number; });
  each("share", id, (place) => { place.textContent = line.share; });
  each("total", id, (place) => { place.textContent = line.total; });
  each("rest", id, (place) => { place.textContent = line.rest; });
  each("number", id, (place) => {
    const item = place.closest("li");
    if (item && item.closest(".legend, .bars")) item.toggleAttribute("data-zero", line.zero);
  });
  each("bar", id, (place) => {
    for (const bar of place.querySelectorAll("rect")) {
      if (!("fromLeft" in place.dataset)) bar.setAttribute("x", `${line.left}%`);
      bar.setAttribute("width", `${line.width}%`);
    }
  });
}

if (live) {
  const events = new EventSource(live.dataset.events);
  events.onmessage = (event) => {
    const { asOf, time, lines } = JSON.parse(event.data);
    const place = document.getElementById("as-of");
    place.textContent = asOf;
    place.dateTime = time;
    for (const [id, line] of Object.entries(lines)) show(id, line);
    say("live", "Live, as of");
  };
  events.onerror = () => {
    const isOver = events.readyState === EventSource.CLOSED;
    say(isOver ? "static" : "reconnecting", isOver ? "As of" : "Reconnecting, as of");
  };
  events.addEventListener("ended", () => {
    events.close();
    location.assign("/sign-in");
  });
}
