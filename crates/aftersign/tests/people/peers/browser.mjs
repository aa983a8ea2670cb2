// A person's browser, for tests: Debian's Chromium, driven by a script.
//
// Runs in the folder with the installed packages. The one argument is the browser's path; standard input is JSON:
//   { javascript: bool, step_milliseconds, steps: [ { goto: url } | { click: selector } | { fill: [selector, text] }
//     | { screenshot: path } | { expectText: text } | { wait: part of a URL } | { view: { dark: bool, width } }
//     | { tab: number } | { together: [urls] } ] }
// `tab` goes to one of several tabs, which is opened if it is not; the first is 0. `together` opens all URLs at the same
// time in the tabs 0, 1 and so on, and stays in the last.
// Prints one JSON line per step, about the tab that it ends in: { url, status, title, lang, headings, overflow, text,
// console, violations, failed, error }. `status` is the answer to the last page; `lang` is the page's language,
// `headings` are those of the first rank, `overflow` is whether the page is wider than the window; `console` has the
// errors and warnings that the page caused since its tab's last step, `violations` what its Content-Security-Policy
// forbade, `failed` the requests that came to nothing or were answered by 400 and more. The first step with an `error`
// is the last.

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';

const { chromium } = createRequire(resolve('package.json'))('playwright-core');

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const HEIGHT = 720;
// More than the pages that follow each other by themselves.
const LOOKS_MAX = 5;

// What a step does; every wait has the step's limit.
const actions = {
  goto: ({ page }, url) => page.goto(url),
  click: ({ page }, selector) => page.click(selector),
  fill: ({ page }, [selector, value]) => page.fill(selector, value),
  screenshot: ({ page }, path) => page.screenshot({ path, fullPage: true }),
  expectText: ({ page }, part) => page.locator('body', { hasText: part }).waitFor(),
  wait: ({ page }, part) => page.waitForURL((url) => url.href.includes(part)),
  async view({ page }, { dark, width }) {
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
    await page.setViewportSize({ width, height: HEIGHT });
  },
  tab: (tabs, number) => tabs.choose(number),
  async together(tabs, urls) {
    for (const number of urls.keys()) await tabs.choose(number);
    // Where a visit is sent on at once, the first answer is not the last.
    await Promise.all(urls.map((url, number) => tabs.pages[number].goto(url)));
  },
};

// The tabs of one browser, and what was seen in each.
class Tabs {
  constructor(context) {
    Object.assign(this, { context, pages: [], seen: [], audits: [], number: 0 });
  }

  get page() {
    return this.pages[this.number];
  }

  async choose(number) {
    this.number = number;
    if (this.page) return;
    this.pages[number] = await this.context.newPage();
    this.seen[number] = new Seen();
    this.audits[number] = await this.seen[number].watch(this.page);
  }

  // The page as it stands, and what went wrong in it since the last time.
  async report() {
    const [page, seen] = [this.page, this.seen[this.number]];
    const about = await settled(page);
    // A question to the page on the channel of the issues: what it said before has arrived.
    await this.audits[this.number].send('DOM.getDocument', { depth: 0 });
    const { status, console: messages, violations, failed } = seen;
    seen.clear();
    return { ...about, status, console: messages, violations, failed };
  }
}

// A page that sends the browser on by itself may go while it is looked at.
async function settled(page) {
  for (let looks = 1; ; looks += 1) {
    await page.waitForLoadState().catch(() => {});
    try {
      return await look(page);
    } catch (error) {
      if (looks === LOOKS_MAX) throw error;
    }
  }
}

async function look(page) {
  const root = page.locator('html');
  return {
    url: page.url(),
    title: await page.title(),
    lang: await root.getAttribute('lang'),
    headings: await page.locator('h1').allInnerTexts(),
    overflow: await root.evaluate((element) => element.scrollWidth > element.clientWidth),
    text: await page.innerText('body'),
  };
}

class Seen {
  constructor() {
    this.status = null;
    this.clear();
  }

  clear() {
    Object.assign(this, { console: [], violations: [], failed: [] });
  }

  async watch(page) {
    const isPage = (request) => request.isNavigationRequest() && request.frame() === page.mainFrame();
    page.on('console', (message) => {
      // The page's own status is told by `status`, and its icon is the browser's own wish.
      const { url } = message.location();
      const isOwn = url === page.url() || url.endsWith('/favicon.ico');
      const isStatus = message.text().startsWith('Failed to load resource') && isOwn;
      if (['error', 'warning'].includes(message.type()) && !isStatus) this.console.push(message.text());
    });
    page.on('pageerror', (error) => this.console.push(String(error)));
    page.on('requestfailed', (request) => this.failed.push(`${request.url()}: ${request.failure()?.errorText}`));
    page.on('response', (response) => {
      if (isPage(response.request())) this.status = response.status();
      else if (response.status() >= 400) this.failed.push(`${response.url()}: ${response.status()}`);
    });
    // The browser's own list of issues knows violations without any script in the page.
    const audits = await page.context().newCDPSession(page);
    audits.on('Audits.issueAdded', ({ issue }) => {
      const details = issue.details.contentSecurityPolicyIssueDetails;
      if (details) this.violations.push(`${details.violatedDirective}: ${details.blockedURL ?? 'inline'}`);
    });
    await audits.send('Audits.enable');
    return audits;
  }
}

async function run(script, browser) {
  const context = await browser.newContext({ javaScriptEnabled: script.javascript });
  context.setDefaultTimeout(script.step_milliseconds);
  const tabs = new Tabs(context);
  await tabs.choose(0);
  for (const step of script.steps) {
    const [[name, value]] = Object.entries(step);
    let error = null;
    try {
      await actions[name](tabs, value);
    } catch (thrown) {
      error = `${name} ${JSON.stringify(value)}: ${thrown.message}`;
    }
    process.stdout.write(`${JSON.stringify({ ...(await tabs.report()), error })}\n`);
    if (error) break;
  }
}

const script = JSON.parse(await text(process.stdin));
// Playwright adds a fresh profile below the temporary folder, and takes it away.
const browser = await chromium.launch({ executablePath: process.argv[2], headless: true, args: FLAGS });
try {
  await run(script, browser);
} finally {
  await browser.close();
}
