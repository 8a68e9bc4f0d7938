// Accessibility: axe checks every page in light and dark; keyboard use; small screens.
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { notice, startStep } from "./support/acts.ts";
import { Complaints } from "./support/complaints.ts";
import { form, People, type Person } from "./support/people.ts";
import { Small } from "./support/small.ts";

let small: Small;
let admin: Person;
let devops: Person;
let people: People;

test.beforeAll(async ({ browser }) => {
  small = await Small.start("access");
  people = new People(browser, small.server, new Complaints());
  admin = await people.admin("Ada");
  devops = await people.join(await people.invite(admin, "Dana", ["DevOps", "Admin"]), "Dana");
  await startStep(devops.page, "A.s1");
});

test.afterAll(async () => {
  await small?.remove();
});

const pages = ["/", "/gates/A", "/gates/H", "/matrix", "/sign-offs", "/ownership", "/releases", "/releases/1", "/incidents", "/runs", "/runs/1",
  "/activity", "/runbook", "/people", "/account"];

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe reports no serious problem on any page (${colorScheme})`, async () => {
    const page = devops.page;
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found: string[] = [];
    const look = async (path: string, at = page) => {
      const { violations } = await new AxeBuilder({ page: at }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
      for (const violation of violations) {
        if (violation.impact !== "serious" && violation.impact !== "critical") continue;
        // The line numbers of a log are as high as a line; the field "Line" does the same (2.5.8, equivalent).
        const nodes = violation.nodes.filter((n) => violation.id !== "target-size" || !n.html.includes('class="log-n"'));
        for (const node of nodes) found.push(`${path}: ${violation.id}: ${node.target.join(" ")}: ${node.failureSummary ?? ""}`);
      }
    };
    for (const path of pages) {
      await page.goto(path);
      await page.evaluate(() => document.querySelectorAll("details").forEach((d) => (d.open = true)));
      await look(path);
    }
    const phone = await people.signIn(devops, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, colorScheme, reducedMotion: "reduce" });
    await phone.page.goto("/");
    await phone.page.getByRole("button", { name: "Menu" }).click();
    await expect(phone.page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link").first()).toBeVisible();
    await look("/ with the menu open", phone.page);
    await phone.context.close();
    const { context, page: door } = await people.stranger("stranger", { colorScheme, reducedMotion: "reduce" });
    await door.goto("/sign-in");
    await look("/sign-in", door);
    await context.close();
    expect(found).toEqual([]);
  });
}

test("every control can be reached with the keyboard, the skip link first, and focus is visible", async () => {
  const page = devops.page;
  await page.goto("/");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();
  // Every control shows that it has the focus.
  const seen = new Set<string>();
  for (let stops = 0; stops < 40; stops++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const e = document.activeElement as HTMLElement;
      const style = getComputedStyle(e);
      const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      return { what: `${e.tagName} ${e.textContent?.trim().slice(0, 40)}`, visible: ring || style.boxShadow !== "none" };
    });
    if (stop.what.startsWith("BODY")) break;
    expect(stop.visible, `focus on ${stop.what} is visible`).toBe(true);
    seen.add(stop.what);
  }
  expect(seen.size).toBeGreaterThan(10);
});

test("keyboard shortcuts change the page, but not while a text is typed", async () => {
  const page = devops.page;
  await page.goto("/");
  await expect(page.locator('.live[role="status"]')).toHaveText("live");
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await expect(page).toHaveURL(/\/matrix$/);
  await expect(page.locator('.live[role="status"]')).toHaveText("live");
  await page.keyboard.press("?");
  await expect(page.locator("dialog#keys")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.locator("dialog#keys")).toBeHidden();
  await page.goto("/ownership");
  await page.locator('input[name="value"]:visible').first().focus();
  await page.keyboard.type("gm?");
  await expect(page).toHaveURL(/\/ownership$/);
  await expect(page.locator('input[name="value"]:visible').first()).toHaveValue("gm?");
});

test("keyboard shortcuts can be turned off and on again with the keyboard, and the browser remembers it", async () => {
  const page = devops.page;
  const live = page.locator('.live[role="status"]');
  const list = page.locator("dialog#keys");
  const choice = list.getByRole("checkbox", { name: "Use these shortcuts in this browser" });
  const openFromMenu = async () => {
    await page.locator("header .menu > summary").press("Enter");
    await page.getByRole("button", { name: "Keyboard shortcuts" }).press("Enter");
    await expect(list).toBeVisible();
  };
  await page.goto("/");
  await expect(live).toHaveText("live");
  await page.keyboard.press("?");
  await expect(choice).toBeChecked();
  await choice.press("Space");
  await expect(choice).not.toBeChecked();
  await page.keyboard.press("Escape");
  await page.reload();
  await expect(live).toHaveText("live");
  for (const key of ["?", "g", "m"]) await page.keyboard.press(key);
  // The list is open only now, so the keys before did nothing.
  await expect(list).toBeHidden();
  await openFromMenu();
  await expect(page).toHaveURL(/\/$/);
  await expect(choice).not.toBeChecked();
  await choice.press("Space");
  await page.keyboard.press("Escape");
  await expect(list).toBeHidden();
  await page.keyboard.press("?");
  await expect(list).toBeVisible();
  await expect(choice).toBeChecked();
  await page.keyboard.press("Escape");
});

test("a refused form moves the focus to the message, and the field refers to it", async () => {
  const page = devops.page;
  await page.goto("/account");
  const fields = form(page, "change_password");
  await expect(fields.locator("[name=password]")).toHaveAccessibleDescription(/^At least \d+ characters/);
  await fields.locator("[name=old]").fill("not the password of anyone");
  await fields.locator("[name=password]").fill("a phrase of several words");
  await fields.locator("[name=again]").fill("a phrase of several words");
  await fields.getByRole("button").click();
  await expect(notice(page)).toContainText("The password is wrong");
  await expect(notice(page)).toBeFocused();
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(fields.locator("[name=old]")).toHaveAttribute("aria-invalid", "true");
  await expect(fields.locator("[name=old]")).toHaveAccessibleDescription(/The password is wrong/);
  await expect(fields.locator("[aria-invalid]")).toHaveCount(1);
  // The next stop is in the page below, not in the navigation.
  await page.keyboard.press("Tab");
  await expect(fields.locator("[name=old]")).toBeFocused();
});

test("a refused form moves the focus without scripts too, and keeps what was entered", async () => {
  const { context, page } = await people.stranger("no scripts", { javaScriptEnabled: false });
  await page.goto("/sign-in");
  const fields = form(page, "sign_in");
  await fields.locator("[name=login]").fill("nobody");
  await fields.locator("[name=password]").fill("not the password of anyone");
  await fields.getByRole("button").click();
  await expect(notice(page)).toContainText("Name or password is wrong");
  await expect(notice(page)).toBeFocused();
  await expect(fields.locator("[name=login]")).toHaveValue("nobody");
  await expect(fields.locator("[aria-invalid]")).toHaveCount(1);
  await expect(fields.locator("[name=password]")).toHaveAttribute("aria-invalid", "true");
  await context.close();
});

test("pages fit on a phone without horizontal scrolling", async () => {
  const phone = await people.signIn(devops, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
  const wide: string[] = [];
  for (const path of pages) {
    await phone.page.goto(path);
    const over = await phone.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 1) wide.push(`${path} is ${over} px too wide`);
  }
  expect(wide).toEqual([]);
  await phone.context.close();
});

test("on a phone, the menu opens every page of the navigation without scripts", async () => {
  const phone = await people.signIn(devops, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, javaScriptEnabled: false });
  const page = phone.page;
  const menu = page.getByRole("button", { name: "Menu" });
  const pagesNav = page.getByRole("navigation", { name: "Pages", exact: true });
  const links = pagesNav.getByRole("link");
  await page.goto("/");
  await expect(links).toHaveCount(0);
  await menu.click();
  await expect(links.first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(links).toHaveCount(0);
  await expect(menu).toBeFocused();
  await menu.click();
  const addresses: string[] = [];
  for (const link of await links.all()) {
    addresses.push((await link.getAttribute("href"))!);
    expect((await link.boundingBox())!.height).toBeGreaterThanOrEqual(44);
  }
  expect(addresses).toEqual(expect.arrayContaining(["/", "/sign-offs", "/releases", "/runs", "/people"]));
  for (const address of addresses) {
    await page.goto("/account");
    await menu.click();
    await pagesNav.locator(`a[href="${address}"]`).click();
    await expect(page).toHaveURL(new RegExp(`${address}$`));
    await menu.click();
    const current = pagesNav.locator('[aria-current="page"]');
    await expect(current).toHaveCount(1);
    await expect(current).toHaveAttribute("href", address);
  }
  await phone.context.close();
});

test("on a wide screen, all groups of the navigation are visible", async () => {
  const page = devops.page;
  await page.goto("/gates/A");
  const pagesNav = page.getByRole("navigation", { name: "Pages", exact: true });
  await expect(pagesNav.getByRole("button")).toHaveCount(0);
  for (const group of ["Release", "Operations", "Records", "Administration"]) {
    await expect(pagesNav.getByRole("list", { name: group, exact: true })).toBeVisible();
  }
  await expect(pagesNav.locator('[aria-current="page"]')).toHaveText(/^Board/);
  await pagesNav.getByRole("link", { name: "Matrix" }).click();
  await expect(page).toHaveURL(/\/matrix$/);
});
