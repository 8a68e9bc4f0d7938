// A long story in chapters. Each chapter is a test that continues where the previous one ended. After a failed test
// Playwright continues in a new process, so the chapters share a server that runs on its own, and a file with its
// address, the people who have joined, and the result of each chapter. A chapter is skipped when one that it needs
// failed.
import { test as base, type Browser, expect } from "@playwright/test";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Complaints } from "./complaints.ts";
import type { Example } from "./example.ts";
import { keptFolder } from "./files.ts";
import { credentials, People, type Person } from "./people.ts";
import { Served, type ServedMemo } from "./served.ts";
import type { Stagegate } from "./stagegate.ts";

/** How long an active run of a failed chapter may delay the next chapter. */
const LEFT_RUN_TIMEOUT_MS = 120_000;
/** Set by the process that starts the tests (see story-clean-up.ts), and inherited by those that run them. */
const STATE_FILE = "STORY_STATE_FILE";

type Result = "passed" | "failed" | "not run";

interface State {
  served?: ServedMemo;
  /** The people who have joined. */
  people: string[];
  /** The result of each chapter, by title. */
  chapters: Record<string, Result>;
}

/** The objects that a chapter uses. */
export class Story {
  readonly complaints = new Complaints();
  readonly people: People;
  private readonly who = new Map<string, Person>();

  private constructor(
    private readonly served: Served,
    browser: Browser,
  ) {
    this.people = new People(browser, served.server, this.complaints);
  }

  /** Starts the server with its stack, or uses those that an earlier process of this test run has started. */
  static async open(browser: Browser): Promise<Story> {
    const { served: memo } = readState();
    if (memo) {
      const story = new Story(Served.attach(memo), browser);
      await story.resume();
      return story;
    }
    const served = await Served.start("story", () => {}, { detached: true });
    changeState((state) => (state.served = served.memo));
    return new Story(served, browser);
  }

  get example(): Example {
    return this.served.example;
  }

  get server(): Stagegate {
    return this.served.server;
  }

  get data(): string {
    return this.served.data;
  }

  // Chapters destructure these, so they are bound to the instance.
  readonly person = (name: string): Person => {
    const person = this.who.get(name);
    if (!person) throw new Error(`${name} has not joined`);
    return person;
  };

  readonly hasJoined = (name: string): boolean => this.who.has(name);

  /** Records a person who has just joined, for this chapter and all later ones. */
  readonly joined = (person: Person): void => {
    this.who.set(person.name, person);
    changeState((state) => state.people.push(person.name));
  };

  readonly passed = (chapter: string): boolean => readState().chapters[chapter] === "passed";

  /** Leaves every page: an open page reloads its parts on every change, and eight of them slow the tests down. Live pages
   * are tested within a chapter. */
  async leavePages(): Promise<void> {
    for (const { page } of this.who.values()) await page.goto("about:blank");
  }

  /** After a failed chapter: all people sign in again, and an active run may end first. */
  private async resume(): Promise<void> {
    if (!(await this.server.answers())) {
      console.error(`The server of the story has ended and is started again. Its log: ${this.server.log}`);
      await this.server.again();
      changeState((state) => (state.served = this.served.memo));
    }
    for (const name of readState().people) this.who.set(name, await this.people.signIn(credentials(name)));
    const page = this.who.values().next().value?.page;
    if (!page) return;
    await page.goto("/");
    await expect(page.locator('[data-live="running"]'))
      .toBeEmpty({ timeout: LEFT_RUN_TIMEOUT_MS })
      .catch(() => console.error("A run of the failed chapter is still active."));
    await this.leavePages();
  }
}

/** The chapters, by title, that a chapter depends on. */
export function needs(...titles: string[]): { annotation: { type: string; description: string }[] } {
  return { annotation: titles.map((description) => ({ type: "needs", description })) };
}

interface Fixtures {
  chapter: void;
  story: Story;
}

export const test = base.extend<Fixtures, { opened: Story }>({
  // Skips a chapter before it opens anything if one that it needs failed or was skipped. The failed chapter fails the
  // whole run, so skipping hides nothing.
  chapter: [
    async ({}, use, info) => {
      const { chapters } = readState();
      const needed = info.annotations.filter(({ type }) => type === "needs").map(({ description }) => description ?? "");
      const missing = needed.find((title) => chapters[title] !== "passed");
      if (missing !== undefined) {
        const result = chapters[missing];
        if (!result) throw new Error(`"${missing}" is needed, but was not selected: run all of the story`);
        changeState((state) => (state.chapters[info.title] = "not run"));
        info.skip(true, `it needs "${missing}", which ${result === "failed" ? "failed" : "was not run"}`);
      }
      // This is overwritten at the end of the chapter.
      changeState((state) => (state.chapters[info.title] = "failed"));
      await use();
    },
    { auto: true },
  ],
  opened: [
    async ({ browser }, use) => {
      await use(await Story.open(browser));
    },
    { scope: "worker" },
  ],
  story: async ({ opened }, use, info) => {
    await use(opened);
    if (info.errors.length > 0) return;
    await opened.leavePages();
    // Errors of a page fail the chapter, but later chapters do not depend on them.
    changeState((state) => (state.chapters[info.title] = "passed"));
    expect(opened.complaints.take(), "errors in the browser's console").toEqual([]);
  },
});

/** Sets the state file of this test run, and cleans up after test runs that were killed. */
export async function prepareStories(): Promise<void> {
  process.env[STATE_FILE] = join(keptFolder(), `story-${process.pid}.json`);
  for (const name of readdirSync(keptFolder())) {
    const pid = /^story-(\d+)\.json$/.exec(name)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) await removeStory(join(keptFolder(), name));
  }
}

/** Stops the server of a story and removes its stack and folders, if it was started. */
export async function removeStory(file = stateFile()): Promise<void> {
  if (!existsSync(file)) return;
  const { served } = readState(file);
  if (served) await Served.attach(served).remove();
  rmSync(file);
}

function stateFile(): string {
  const file = process.env[STATE_FILE];
  if (!file) throw new Error(`${STATE_FILE} is not set: playwright.config.ts has no globalSetup`);
  return file;
}

function readState(file = stateFile()): State {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as State) : { people: [], chapters: {} };
}

function changeState(change: (state: State) => void): void {
  const state = readState();
  change(state);
  writeFileSync(stateFile(), JSON.stringify(state, undefined, 2));
}
