// Every page of a practice's day in the looks that its journeys leave out.
import { expect, live, practice, test } from "./clinic";
import { LOOKS, wholePage } from "./looks";

for (const { look, language, options } of LOOKS) {
  test(`no barriers on the day of a practice, ${look}`, async ({ stage }) => {
    const { doctor } = await practice();
    const page = await stage.open(doctor, options);
    await page.locator(".language select").selectOption(language);
    for (const path of ["/practice", "/practice?view=agenda", "/practice/board", "/practice/requests"]) {
      await page.goto(path);
      await live(page);
      await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
      await wholePage(page);
    }
  });
}
