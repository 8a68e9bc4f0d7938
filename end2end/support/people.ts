// People with their own browser contexts, pages and passwords.
import { type Browser, type BrowserContext, type BrowserContextOptions, expect, type Page } from "@playwright/test";
import type { Complaints } from "./complaints.ts";
import type { Stagegate } from "./stagegate.ts";

export interface Person {
  name: string;
  login: string;
  password: string;
  context: BrowserContext;
  page: Page;
}

/** The form that posts to `/api/<act>`; `within` selects one if the page has several. */
export function form(page: Page, act: string, within = "body") {
  return page.locator(`${within} form[action="/api/${act}"]`);
}

export class People {
  constructor(
    private readonly browser: Browser,
    private readonly server: Stagegate,
    private readonly complaints: Complaints,
    private readonly options: BrowserContextOptions = {},
  ) {}

  /** A browser context without a session. */
  async stranger(who: string, options: BrowserContextOptions = {}): Promise<{ context: BrowserContext; page: Page }> {
    const context = await this.browser.newContext({ baseURL: this.server.base, ...this.options, ...options });
    this.complaints.listen(context, who);
    return { context, page: await context.newPage() };
  }

  /** Creates the first admin with the setup link of the first start. */
  async admin(name: string, seen: (page: Page) => Promise<void> = async () => {}): Promise<Person> {
    const login = name.toLowerCase();
    const password = passwordOf(name);
    const { context, page } = await this.stranger(name);
    await page.goto(this.server.setupLink);
    await seen(page);
    const link = form(page, "use_link");
    await link.locator("[name=name]").fill(name);
    await link.locator("input[name=login]").fill(login);
    await choosePassword(page, password);
    return { name, login, password, context, page };
  }

  /** Invites a person with these roles; returns the one-time link. */
  async invite(admin: Person, name: string, roles: string[]): Promise<string> {
    const page = admin.page;
    await page.goto("/people");
    const invite = form(page, "invite");
    if (!(await invite.locator("[name=name]").isVisible())) await page.getByText("Invite a person").first().click();
    await invite.locator("[name=name]").fill(name);
    await invite.locator("[name=login]").fill(name.toLowerCase());
    for (const role of roles) await invite.getByLabel(role, { exact: true }).check();
    await invite.locator("[name=password]").fill(admin.password);
    await invite.getByRole("button").click();
    await expect(page).toHaveURL(/\/people/);
    await expect(page.locator("main")).toContainText("/link/");
    const path = /\/link\/[\w-]+/.exec(await page.locator("main").innerText())?.[0];
    if (!path) throw new Error("the page shows no one-time link");
    return this.server.base + path;
  }

  /** Opens a one-time link in a new browser context and chooses a password. */
  async join(link: string, name: string, options: BrowserContextOptions = {}): Promise<Person> {
    const password = passwordOf(name);
    const { context, page } = await this.stranger(name, options);
    await page.goto(link);
    await choosePassword(page, password);
    return { name, login: name.toLowerCase(), password, context, page };
  }

  async signIn(person: Pick<Person, "name" | "login" | "password">, options: BrowserContextOptions = {}): Promise<Person> {
    const { context, page } = await this.stranger(person.name, options);
    await page.goto("/sign-in");
    await form(page, "sign_in").locator("[name=login]").fill(person.login);
    await form(page, "sign_in").locator("[name=password]").fill(person.password);
    await form(page, "sign_in").getByRole("button").click();
    await expect(page).not.toHaveURL(/sign-in/);
    return { ...person, context, page };
  }
}

/** The credentials of a person who has joined. */
export function credentials(name: string): Pick<Person, "name" | "login" | "password"> {
  return { name, login: name.toLowerCase(), password: passwordOf(name) };
}

function passwordOf(name: string): string {
  return `three green lights for ${name}`;
}

async function choosePassword(page: Page, password: string): Promise<void> {
  const link = form(page, "use_link");
  await link.locator("[name=password]").fill(password);
  await link.locator("[name=again]").fill(password);
  await link.getByRole("button").click();
  // Hashing the password is slow on purpose.
  await expect(page.locator("h1")).toBeAttached({ timeout: 20_000 });
  await expect(page).not.toHaveURL(/\/link\//, { timeout: 20_000 });
}
