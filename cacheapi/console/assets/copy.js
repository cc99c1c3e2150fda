export function copyButtons(root) {
  for (const button of root.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => {
      copy(document.getElementById(button.dataset.copies), document.getElementById(button.dataset.tells));
    });
  }
}

async function copy(input, told) {
  input.select();
  try {
    // Browsers give the clipboard to secure pages only; the old way works elsewhere.
    if (navigator.clipboard) await navigator.clipboard.writeText(input.value);
    else if (!document.execCommand("copy")) throw new Error("refused");
    told.textContent = "Copied.";
  } catch (error) {
    told.textContent = "The browser does not let this page copy. It is selected: copy it yourself.";
  }
}
