// Answers, one JSON line for each on standard input, what a library says of a
// delivery. The argument is the folder that has node_modules.

import { createHash } from 'node:crypto';
import { createRequire, register } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

let now = 0; // the time that libraries see, milliseconds

const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    args.length === 0 ? super(now) : super(...args);
  }
  static now() {
    return now;
  }
};

// A Nuxt module reads its settings from a name that only a Nuxt build has. And a library
// that keeps certificates is imported anew where its name says for which.
register('data:text/javascript,' + encodeURIComponent(`
  export async function resolve(name, context, next) {
    if (name === '@octokit/request') { // a client of HTTP
      return { shortCircuit: true, url: 'data:text/javascript,export const request = undefined;' };
    }
    if (context.parentURL?.includes('?judge=') && name.startsWith('.')) { // a fresh copy, whole
      const found = await next(name, context);
      return { ...found, url: found.url + new URL(context.parentURL).search };
    }
    if (name !== '#imports') return next(name, context);
    return { shortCircuit: true, url: 'data:text/javascript,export const useRuntimeConfig = () => globalThis.judgeConfig;' };
  }`));

const root = process.argv[2];
const require = createRequire(join(root, 'package.json'));
const libraries = {
  // By path, since packages do not export the file that has their verifier alone.
  load: (path) => require(join(root, 'node_modules', path)),
  anew: (path) => {
    const file = join(root, 'node_modules', path);
    delete require.cache[require.resolve(file)];
    return require(file);
  },
  import: (path) => {
    const [file, query] = path.split('?');
    return import(pathToFileURL(join(root, 'node_modules', file)).href + (query ? `?${query}` : ''));
  },
};

class Delivery {
  constructor(message) {
    this.secret = message.secret;
    this.method = message.method;
    this.url = message.url;
    this.bytes = Buffer.from(message.body, 'base64');
    this.headers = {};
    for (const [name, value] of message.headers) { // as Node joins what comes twice
      const key = name.toLowerCase();
      this.headers[key] = key in this.headers ? `${this.headers[key]}, ${value}` : value;
    }
  }
  get text() {
    return this.bytes.toString('utf8');
  }
  get path() {
    const { pathname, search } = new URL(this.url);
    return pathname + search;
  }
  get contentDigest() {
    return `sha-256=:${createHash('sha256').update(this.bytes).digest('base64')}:`;
  }
  get isForm() {
    return (this.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  }
}

async function answer(judges, message) {
  if (message.op === 'list') {
    return {
      ok: true, verify: Object.keys(judges.verifiers).sort(), sign: Object.keys(judges.signers).sort(),
      shake: Object.keys(judges.answerers).sort(),
    };
  }
  now = Math.round(message.now * 1000);
  const delivery = new Delivery(message);
  if (message.op === 'sign') {
    return { ok: true, headers: await judges.signers[message.judge](delivery) };
  }
  if (message.op === 'shake') {
    return { ok: true, answer: await judges.answerers[message.judge](delivery) };
  }
  try {
    const said = await judges.verifiers[message.judge](delivery);
    const ok = said === undefined || said === true;
    return { ok, error: ok ? '' : JSON.stringify(said).slice(0, 200) };
  } catch (error) { // libraries refuse by throwing what they like
    return { ok: false, error: `${error?.name}: ${error?.message}`.slice(0, 200) };
  }
}

const judges = { verifiers: {}, signers: {} };
for (const file of ['./judges.mjs', './publickeys.mjs']) {
  const { verifiers, signers } = await (await import(file)).load(libraries);
  Object.assign(judges.verifiers, verifiers);
  Object.assign(judges.signers, signers);
}
Object.assign(judges, await (await import('./handshakes.mjs')).load(libraries));
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(judges, JSON.parse(line))) + '\n');
}
