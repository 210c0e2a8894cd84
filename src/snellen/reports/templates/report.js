"use strict";
// Enhancements only: every word and picture of the page is there without them.
(() => {
  const make = (name, fields, ...children) => {
    const node = Object.assign(document.createElement(name), fields);
    node.append(...children);
    return node;
  };

  // A field that filters the cards by name.
  const cards = [...document.querySelectorAll(".card")];
  const first = document.querySelector(".cards");
  if (cards.length > 6 && first) {
    const field = make("input", { type: "search", placeholder: "name or layer:channel", autocomplete: "off" });
    const said = make("span", { className: "said" });
    said.setAttribute("role", "status");
    const filter = () => {
      const wanted = field.value.trim().toLowerCase();
      const shown = cards.filter((card) => {
        card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
        return !card.hidden;
      });
      said.textContent = wanted ? `${shown.length} of ${cards.length}` : "";
      for (const group of document.querySelectorAll(".group")) {
        group.hidden = wanted !== "" && !group.querySelector(".card:not([hidden])");
      }
    };
    field.addEventListener("input", filter);
    const row = make("p", { className: "filter wide" }, make("label", {}, "Show only ", field), said);
    first.closest(".group").before(row);
  }

  // Pictures open large in a dialog: Enter or a click opens, Escape or a click closes.
  if (typeof HTMLDialogElement === "function") {
    const image = make("img", { alt: "" });
    const words = make("p", {});
    const close = make("button", { type: "button", textContent: "Close" });
    const dialog = make("dialog", { className: "large" }, image, words, close);
    dialog.setAttribute("aria-label", "Picture, enlarged");
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("a.zoom") : null;
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const shown = link.querySelector("img");
      image.src = shown.src;
      image.alt = shown.alt;
      words.textContent = shown.alt;
      if (!dialog.isConnected) document.body.append(dialog);
      dialog.showModal();
    });
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  // On paper nothing can be opened: open everything, and close it again afterwards.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.course)")];
    for (const part of opened) part.open = true;
    for (const picture of document.images) picture.loading = "eager";
  });
  addEventListener("afterprint", () => opened.forEach((part) => (part.open = false)));
})();
