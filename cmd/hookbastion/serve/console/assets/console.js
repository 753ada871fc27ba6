// Asks for the page again every few seconds, and puts in the parts that have changed. The
// server has escaped everything; nothing here makes markup of text. Without this script
// the pages work, and stand still.
'use strict';
(() => {
  const every = 3000, slowest = 60000;
  if (!('live' in document.body.dataset)) return;

  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Live';
  button.setAttribute('aria-pressed', 'true');
  button.title = 'Stop or go on bringing this page up to date';
  document.querySelector('.here').append(button);

  let live = true, timer = 0, wait = every;

  // inUse says that somebody reads or works in a part: it is left as it is.
  const inUse = part => {
    const at = getSelection();
    if (at && !at.isCollapsed && part.contains(at.anchorNode)) return true;
    return part.querySelector('details[open]') !== null;
  };

  const partsOf = page => [...page.querySelectorAll('[data-part]')].map(e => e.id).join();

  const take = page => {
    const main = document.querySelector('main'), next = page.querySelector('main');
    if (next && partsOf(main) !== partsOf(next) && !inUse(main)) { // a part has come or gone
      main.replaceWith(document.importNode(next, true));
    }
    for (const old of document.querySelectorAll('[data-part]')) {
      const part = page.getElementById(old.id);
      if (!part || part.isEqualNode(old) || inUse(old)) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement : null;
      const scrolled = [...old.querySelectorAll('.wide')].map(e => e.scrollLeft);
      const fresh = document.importNode(part, true);
      old.replaceWith(fresh);
      fresh.querySelectorAll('.wide').forEach((e, i) => { e.scrollLeft = scrolled[i] || 0; });
      if (!focused) continue;
      const again = focused.id ? document.getElementById(focused.id)
        : [...fresh.querySelectorAll('a[href], [tabindex]')].find(e => e.getAttribute('href') === focused.getAttribute('href') && e.className === focused.className);
      if (again) again.focus({preventScroll: true});
    }
  };

  const failed = is => {
    wait = is ? Math.min(wait * 2, slowest) : every;
    button.classList.toggle('failing', is);
    button.textContent = is ? 'No answer' : 'Live';
  };

  const ask = () => {
    const request = new XMLHttpRequest();
    request.open('GET', location.href);
    request.responseType = 'document';
    request.timeout = 10000;
    request.onloadend = () => {
      if (!live) return;
      const answered = request.status === 200 && request.response;
      if (answered) take(request.response);
      failed(!answered);
      plan(wait);
    };
    request.send();
  };

  const plan = after => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (live && !document.hidden) ask(); }, after);
  };

  button.addEventListener('click', () => {
    live = !live;
    button.setAttribute('aria-pressed', String(live));
    button.classList.remove('failing');
    button.textContent = live ? 'Live' : 'Paused';
    clearTimeout(timer);
    if (live) ask();
  });
  document.addEventListener('visibilitychange', () => { if (live && !document.hidden) plan(0); });
  plan(every);
})();
