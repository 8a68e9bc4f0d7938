// Screenshots of a page for review: light, dark, and on a phone.
import type { Page } from "@playwright/test";
import { join } from "node:path";
import { keptFolder } from "./files.ts";

const phone = { width: 390, height: 844 };
const desk = { width: 1280, height: 800 };
let count = 0;

/** Takes the three screenshots of a page; `name` is a part of the file names. */
export async function shots(page: Page, name: string): Promise<void> {
  const folder = keptFolder("shots");
  const before = page.viewportSize() ?? desk;
  const number = String(++count).padStart(2, "0");
  const take = async (kind: string) => {
    // The header is sticky: scroll up so that it is at the top of the picture.
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: join(folder, `${number}-${name}-${kind}.png`), fullPage: true, animations: "disabled" });
  };
  await page.setViewportSize(desk);
  await page.emulateMedia({ colorScheme: "light" });
  await take("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await take("dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(phone);
  await take("phone");
  await page.setViewportSize(before);
}
