// What the tests of dev's page run inside the browser. Each stands alone, since it is sent there as text.

/** Tries every way to have text parsed as markup or run as a script. */
export function parseAndRun() {
  const { body } = document;
  const owned = 'document.title = "owned"';
  const script = document.createElement('script');
  const link = Object.assign(document.createElement('a'), { href: `javascript:${owned}` });
  const attempts = [
    () => body.insertAdjacentHTML('beforeend', '<p id="markup">markup</p>'),
    () => script.append(owned),
    () => body.append(script),
    () => body.append(Object.assign(document.createElement('script'), { src: 'data:text/javascript,owned' })),
    () => body.setAttribute('onclick', owned),
    () => body.click(),
    () => body.append(link),
    () => link.click(),
  ];
  for (const attempt of attempts) {
    try {
      attempt();
    } catch {}
  }
}

/** What a page of another origin gets when it tries to use dev's. */
export async function useFromElsewhere(base) {
  const order = JSON.stringify({ type: 'outbid' });
  const ask = (path, init) =>
    fetch(base + path, init).then(
      ({ type, status }) => (type === 'opaque' ? 'opaque' : `read ${status}`),
      () => 'failed',
    );
  const listen = () =>
    new Promise((resolve) => {
      const source = new EventSource(`${base}events`);
      source.addEventListener('start', () => resolve('read'));
      source.addEventListener('error', () => resolve('failed'));
    });
  return {
    json: await ask('trigger', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: order }),
    token: await ask('trigger', { method: 'POST', headers: { 'X-Dev-Token': 'a' }, body: order }),
    text: await ask('trigger', { method: 'POST', mode: 'no-cors', body: order }),
    page: await ask('', {}),
    pageUnread: await ask('', { mode: 'no-cors' }),
    events: await listen(),
  };
}

/** The nearest that a form comes to JSON. */
export function postForm(action) {
  const form = Object.assign(document.createElement('form'), { method: 'POST', enctype: 'text/plain', action });
  form.append(Object.assign(document.createElement('input'), { name: '{"type":"outbid","x":"', value: '"}' }));
  document.body.append(form);
  form.submit();
}

export function showInFrame(src) {
  document.body.append(Object.assign(document.createElement('iframe'), { src }));
}

export function styleOf(element, property) {
  return getComputedStyle(element)[property];
}

export function idsOf(elements) {
  return elements.filter((element) => element.role === 'option' && element.tagName === 'DIV').map(({ id }) => id);
}

export function scrollSizeOf() {
  const { scrollWidth, scrollHeight } = document.documentElement;
  return [scrollWidth, scrollHeight];
}

export function readClipboard() {
  return navigator.clipboard.readText();
}

/** What axe finds, in short. */
export async function runAxe() {
  const { violations } = await window.axe.run(document);
  return violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`,
  );
}

/** Scrolls faster than anybody reads: a screen a frame, over and over, and then to the end. Gives how far that is. */
export async function scrollThrough(element) {
  const { scrollHeight } = element;
  for (let frame = 1; frame <= 120; frame++) {
    element.scrollTop = (frame * 500) % scrollHeight;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  element.scrollTop = element.scrollHeight;
  return element.scrollTop;
}

/** Letter by letter. */
export async function typeInto(input, text) {
  for (let end = 0; end <= text.length; end++) {
    input.value = text.slice(0, end);
    input.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}
