// Pictures of a page as it stands: light, dark, and on a phone. They are kept to be looked at.
import type { Page } from "@playwright/test";
import { join } from "node:path";
import { keptFolder } from "./files.ts";

const phone = { width: 390, height: 844 };
const desk = { width: 1280, height: 800 };
let count = 0;

/** Takes the three pictures of a station; `name` says what it shows. */
export async function shots(page: Page, name: string): Promise<void> {
  const folder = keptFolder("shots");
  const before = page.viewportSize() ?? desk;
  const number = String(++count).padStart(2, "0");
  const take = async (kind: string) => {
    // The header stays where the reader is: at the top of the picture, then.
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
