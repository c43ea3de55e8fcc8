// Looks at every page below a folder: HTML, accessibility, at two widths, light and dark, in print.
//   node check.mjs FOLDER      (CHROME=/path/to/chromium)
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { FileSystemConfigLoader, HtmlValidate } from "html-validate";
import puppeteer from "puppeteer-core";

const folder = process.argv[2];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const validator = new HtmlValidate(new FileSystemConfigLoader({
  extends: ["html-validate:standard", "html-validate:a11y"],
  rules: { "no-inline-style": "error", "long-title": "off", "require-sri": "off" },
}));
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844, isMobile: true } };
const found = [];
const browser = await puppeteer.launch({
  executablePath: process.env.CHROME,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
for (const name of readdirSync(folder).sort()) {
  const file = join(folder, name, "index.html");
  if (!statSync(join(folder, name)).isDirectory()) { continue; }
  const report = await validator.validateFile(file);
  for (const result of report.results) {
    for (const one of result.messages) {
      found.push(`${name}:${one.line}: ${one.ruleId}: ${one.message}`);
    }
  }
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const scheme of ["light", "dark"]) {
      const page = await browser.newPage();
      const where = `${name} (${size}, ${scheme})`;
      page.on("pageerror", (error) => found.push(`${where}: ${error.message}`));
      page.on("dialog", async (dialog) => { found.push(`${where}: a dialog`); await dialog.dismiss(); });
      page.on("request", (request) => {
        if (!/^(file|data):/.test(request.url())) { found.push(`${where}: asks for ${request.url()}`); }
      });
      await page.setViewport(viewport);
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await page.goto(pathToFileURL(file).href);
      await page.evaluate(() => { for (const one of document.querySelectorAll("details")) { one.open = true; } });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) { found.push(`${where}: ${wide} pixels wider than the window`); }
      const live = await page.evaluate(() => [...document.querySelectorAll(".explorer")].every(
        (one) => !one.hidden && one.querySelectorAll(".row").length > 2));
      if (!live) { found.push(`${where}: the interactive part does not run`); }
      await page.evaluate(axe);
      const seen = await page.evaluate(() => window.axe.run());
      for (const one of seen.violations) {
        found.push(`${where}: axe ${one.id}: ${one.help}: ${one.nodes[0].html.slice(0, 120)}`);
      }
      await page.evaluate(() => { for (const one of document.querySelectorAll("details")) { one.open = false; } });
      await page.screenshot({ path: join(folder, `${name}-${size}-${scheme}.png`), fullPage: true });
      if (size === "desktop" && scheme === "light") {
        const pdf = await page.pdf({ format: "A4" });
        if (pdf.length < 10000) { found.push(`${where}: the PDF is empty`); }
        writeFileSync(join(folder, `${name}.pdf`), pdf);
      }
      await page.close();
    }
  }
}
await browser.close();
console.log(found.length ? found.join("\n") : "no page has a fault");
process.exitCode = found.length ? 1 : 0;
