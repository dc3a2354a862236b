"use strict";
// Shows one question at a time, keeps the answers on this machine, and saves them as a file.
(() => {
  const { packet, pictures, questions } = JSON.parse(document.getElementById("questions").textContent);
  const form = document.querySelector("form");
  const [above, options] = [form.querySelector(".above"), form.querySelector(".options")];
  const [progress, status] = [form.querySelector("output"), form.querySelector("[role=status]")];
  const place = `answers ${packet}`;
  let answers = {};
  let at = 0;
  try {
    answers = JSON.parse(localStorage.getItem(place)) || {};
  } catch {
    answers = {}; // a browser that keeps nothing for files: the answers live as long as the page
  }

  const checksum = (text) => {
    let crc = -1;
    for (const byte of new TextEncoder().encode(text)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ((crc ^ -1) >>> 0).toString(16).padStart(8, "0");
  };

  const picture = (number, alt) => {
    const image = document.createElement("img");
    image.src = pictures[number];
    image.alt = alt;
    return image;
  };

  const show = () => {
    const question = questions[at];
    above.replaceChildren(...question.above.map((number, i) => picture(number, `Work ${i + 1} of the artist`)));
    options.replaceChildren(
      ...["left", "right"].map((side) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        input.type = "radio";
        input.name = "nearer";
        input.value = side;
        input.checked = answers[at + 1] === side;
        label.append(picture(question[side], `The ${side} picture`), document.createElement("br"), input, ` The ${side} picture`);
        return label;
      }),
    );
    progress.textContent = `Question ${at + 1} of ${questions.length}; ${Object.keys(answers).length} answered.`;
  };

  const choose = (side) => {
    answers[at + 1] = side;
    try {
      localStorage.setItem(place, JSON.stringify(answers));
    } catch {
      // see above
    }
    for (const input of options.querySelectorAll("input")) input.checked = input.value === side;
    progress.textContent = `Question ${at + 1} of ${questions.length}; ${Object.keys(answers).length} answered.`;
  };

  const go = (to) => {
    at = Math.min(Math.max(to, 0), questions.length - 1);
    status.textContent = "";
    show();
  };

  const save = () => {
    const open = questions.findIndex((_, i) => !answers[i + 1]);
    if (open >= 0) {
      go(open);
      status.textContent = `Question ${open + 1} has no answer yet. Answer every question, then save.`;
      return;
    }
    const lines = questions.map((_, i) => `${i + 1} ${answers[i + 1]}`);
    const saved = { format: 1, packet, answers, checksum: checksum([packet, ...lines].join("\n")) };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(saved)], { type: "application/json" }));
    link.download = `answers-${packet}.json`;
    link.click();
    status.textContent = `Saved as ${link.download}. Send this file back.`;
  };

  options.addEventListener("change", (event) => choose(event.target.value));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    const wanted = event.target.dataset.go;
    if (wanted === "back") go(at - 1);
    if (wanted === "next") go(at + 1);
    if (wanted === "save") save();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "1") choose("left");
    else if (event.key === "2") choose("right");
    else if (event.key === "Backspace") go(at - 1);
    else if (event.key === "Enter" && event.target.tagName !== "BUTTON") go(at + 1);
    else return;
    event.preventDefault();
  });
  show();
})();
