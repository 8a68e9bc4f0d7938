// Properties of all routes: they work without scripts, escape hostile text, send security headers and limit guessing.
import { expect, test } from "@playwright/test";
import { accept, attest, byId, notice, runState } from "./support/acts.ts";
import { Complaints } from "./support/complaints.ts";
import { form, People, type Person } from "./support/people.ts";
import { Small } from "./support/small.ts";

let small: Small;
let admin: Person;
let devops: Person;
let complaints: Complaints;
let people: People;

test.beforeAll(async ({ browser }) => {
  small = await Small.start("routes");
  complaints = new Complaints();
  people = new People(browser, small.server, complaints);
  admin = await people.admin("Ada");
  devops = await people.join(await people.invite(admin, "Dana", ["DevOps"]), "Dana");
});

test.afterAll(async () => {
  await small?.remove();
});

test("signing in, running a step, reading its log, attesting and accepting work without scripts", async () => {
  const plain = await people.signIn(devops, { javaScriptEnabled: false });
  const page = plain.page;
  await page.goto("/gates/A");
  await byId(page, "step-A.s1").getByRole("button", { name: "Run" }).click();
  await expect(page).toHaveURL(/\/runs\/\d+/);
  // The page reloads itself while the run is active.
  await expect(runState(page)).toHaveText("Passed", { timeout: 20_000 });
  await expect(page.locator(".log-line", { hasText: "hello from the step" })).toBeVisible();
  await attest(plain, "A.1", "Checked without scripts");
  await accept(plain, "A", "Accepted without scripts");
  await page.goto("/");
  await expect(page.locator('ol.gates a[href="/gates/A"]')).toContainText("Accepted");
  await plain.context.close();
});

test("a refused form shows the reason and keeps the input", async () => {
  const plain = await people.signIn(devops, { javaScriptEnabled: false });
  const page = plain.page;
  await page.goto("/ownership");
  const date = page.locator('input[type="date"]').first();
  await expect(date).toBeVisible();
  const answer = await page.request.post("/api/attest", {
    form: { item: "A.1", digest: "stale", holds: "yes", note: "typed before", link: "javascript:alert(1)", key: "k1", back: "/gates/A", form: "attest:A.1" },
    headers: { Origin: small.server.base, Accept: "text/html" },
  });
  const text = await answer.text();
  expect(text).toContain("A link must start with https:// or http://");
  expect(text).not.toContain('href="javascript:');
  await plain.context.close();
});

test("hostile output and names are shown as text, on the page and in the terminal", async () => {
  const page = devops.page;
  await page.goto("/gates/A");
  await byId(page, "step-A.s2").getByRole("button", { name: /^Run/ }).click();
  await page.waitForURL(/\/runs\/\d+/);
  await expect(runState(page)).toHaveText("Passed", { timeout: 20_000 });
  const line = page.locator(".log-t:visible", { hasText: "<script>window.hacked = 1</script>" }).first();
  await expect(line).toBeVisible();
  await expect(page.locator(".log-t:visible", { hasText: "</script><img src=x onerror=" }).first()).toBeVisible();
  await expect(page.locator(".log-t:visible .fg-1", { hasText: "red" }).first()).toBeVisible();
  await expect(page.locator(".log-t:visible", { hasText: "cleared" }).first()).toBeVisible();
  await page.reload();
  await expect(page.locator("main")).toContainText("<script>window.hacked = 1</script>");
  expect(await page.title()).not.toBe("title");
  await people.invite(admin, "<img src=x onerror=window.hacked=1>", ["Docs"]);
  for (const path of ["/people", "/activity", "/gates/A", "/runbook", "/runs"]) {
    await admin.page.goto(path);
    await expect(admin.page.locator("main")).toBeVisible();
    expect(await admin.page.evaluate(() => "hacked" in window), path).toBe(false);
    await expect(admin.page.locator("main img, main b")).toHaveCount(0);
  }
  expect(await page.evaluate(() => "hacked" in window)).toBe(false);
});

test("a run shows output at once, and a cancelled run shows who cancelled it", async () => {
  const page = devops.page;
  await page.goto("/gates/A");
  await byId(page, "step-A.s3").getByRole("button", { name: /^Run/ }).click();
  await page.waitForURL(/\/runs\/\d+/);
  await expect(page.locator(".log-t:visible", { hasText: "line 1" })).toBeVisible();
  await page.getByRole("button", { name: "Cancel run" }).click();
  await expect(runState(page)).toHaveText("Cancelled", { timeout: 20_000 });
  await expect(page.locator('[data-live="run-facts"]')).toContainText("Dana");
});

test("every response has the security headers, and every page a policy with a new nonce", async () => {
  const nonces = new Set<string>();
  for (const path of ["/", "/gates/A", "/matrix", "/sign-offs", "/ownership", "/releases", "/runs", "/activity", "/runbook", "/people", "/account"]) {
    const answer = await devops.page.goto(path);
    const headers = answer!.headers();
    const policy = headers["content-security-policy"] ?? "";
    expect(policy, path).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("'wasm-unsafe-eval'");
    expect(policy).not.toContain("unsafe-inline");
    expect(policy.replace("'wasm-unsafe-eval'", "")).not.toContain("unsafe-eval");
    nonces.add(/'nonce-([^']+)'/.exec(policy)![1]!);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["x-frame-options"]).toBe("DENY");
    expect(headers["referrer-policy"]).toBe("same-origin");
    expect(headers["cache-control"]).toBe("no-store");
    await expect(devops.page.locator('.live[role="status"]'), path).toHaveText("live");
  }
  expect(nonces.size).toBe(11);
  const cookies = await devops.context.cookies();
  for (const cookie of cookies) expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Lax" });
  await complaints.ignoring(async () => {
    for (const path of ["/nowhere", "/gates/Z", "/runs/999999", "/releases/999999"]) {
      const answer = await devops.page.goto(path);
      expect(answer!.status(), path).toBe(404);
      await expect(devops.page.getByRole("link", { name: "Go to the board" })).toBeVisible();
    }
    await devops.page.goto("/");
  });
});

test("a visitor without a session must sign in and is then redirected to the requested page", async () => {
  const { context, page } = await people.stranger("stranger");
  await page.goto("/matrix");
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await form(page, "sign_in").locator("[name=login]").fill(devops.login);
  await form(page, "sign_in").locator("[name=password]").fill(devops.password);
  await form(page, "sign_in").getByRole("button").click();
  await expect(page).toHaveURL(/\/matrix$/);
  await context.close();
});

test("password guessing is delayed, and the response does not reveal which logins exist", async () => {
  const { context, page } = await people.stranger("guesser", { javaScriptEnabled: false });
  const guess = async (login: string) => {
    await page.goto("/sign-in");
    await form(page, "sign_in").locator("[name=login]").fill(login);
    await form(page, "sign_in").locator("[name=password]").fill("not the password");
    await form(page, "sign_in").getByRole("button").click();
    await expect(notice(page)).toBeVisible({ timeout: 20_000 });
    return notice(page).innerText();
  };
  const known = await guess("ada");
  const unknown = await guess("nobody-of-this-name");
  expect(known).toBe(unknown);
  const said: string[] = [];
  for (let tries = 0; tries < 6; tries++) said.push(await guess("ada"));
  expect(said.join("\n")).toMatch(/too many attempts/i);
  await context.close();
});

test("the browser reported no errors during these tests", () => {
  expect(complaints.heard).toEqual([]);
});
