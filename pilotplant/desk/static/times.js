// Tells times in the zone of whoever reads, where that is not the team's. The server's words stay in the title, beside UTC.
"use strict";
(() => {
  const footer = document.getElementById("zone");
  if (footer === null) return;
  const team = footer.dataset.zone;
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!own || own === team) return;
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: own, weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit",
    hourCycle: "h23",
  });
  // As shared/core/times.py says it: Friday 4 December 2026, 18:00.
  const spoken = (moment) => {
    const part = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, value]));
    return `${part.weekday} ${part.day} ${part.month} ${part.year}, ${part.hour}:${part.minute}`;
  };
  const tell = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const here = spoken(moment);
      // Also what was told before, and a page that renews itself has left as it was.
      if (time.textContent === here) continue;
      time.title = `${time.textContent} ${team} · ${time.title.split(" · ").pop()}`;
      time.textContent = here;
      footer.textContent =
        `Times are in your zone, ${own}. Point at one for the team's, ${team}, and for UTC. Within a sentence they are the team's.`;
    }
  };
  tell();
  // A page that renews itself brings the team's words again.
  new MutationObserver(tell).observe(document.getElementById("main"), { childList: true, characterData: true, subtree: true });
})();
