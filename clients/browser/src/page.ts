import { example } from "./example.js";

const form = document.querySelector("form")!;
const output = document.querySelector("pre")!;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = (name: string): string => new FormData(form).get(name) as string;
  output.replaceChildren();
  const say = (line: string): void => output.append(`${line}\n`);
  try {
    await example(value("server"), value("email"), value("password"), say);
    output.dataset.done = "well";
  } catch (error) {
    say(String(error));
    output.dataset.done = "badly";
  }
});
