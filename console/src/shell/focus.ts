/** Keeps the focus: when the focused element is removed, its replacement or its neighbor is focused. */

const FOCUSABLE = "a[href], button, input, select, textarea, [tabindex]";

/** Keyboard users continue at the same place, instead of at the top of the page. */
export function keepFocus(root: HTMLElement): void {
  let last: HTMLElement | undefined;
  root.addEventListener("focusin", ({ target }) => {
    last = target instanceof HTMLElement ? target : undefined;
  });
  // A click on an empty area clears the focus.
  root.addEventListener("pointerdown", () => {
    last = undefined;
  });
  const goOn = (records: MutationRecord[]) => {
    if (last && !last.isConnected) last = heir(records, last, root);
    // Not behind a dialog; a button that is disabled while it works is focused again afterwards.
    if (last && document.activeElement === document.body && !last.closest("[inert], [aria-hidden=true]")) last.focus({ preventScroll: true });
  };
  new MutationObserver(goOn).observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled", "inert", "aria-hidden"] });
}

/** Returns the element that gets the focus of a removed one. */
function heir(records: readonly MutationRecord[], lost: Element, root: Element): HTMLElement | undefined {
  for (const { target, removedNodes, nextSibling, previousSibling } of records) {
    const gone = [...removedNodes].find((node) => node.contains(lost));
    if (!(gone instanceof Element) || !(target instanceof Element)) continue;
    // In a virtualized table, a removed row was only scrolled out of view.
    if (target.closest("[aria-rowcount]")) return undefined;
    if (!target.isConnected) return heir(records, target, root);
    const place = focusable(gone).findIndex((one) => one === lost);
    return near(target, nextSibling, previousSibling, place, root);
  }
  return undefined;
}

/**
 * Returns the element at the same place among the following elements, else a preceding one; then continues with the
 * ancestors.
 */
function near(parent: Element, next: Node | null, previous: Node | null, place: number, root: Element): HTMLElement | undefined {
  const after = seen(next);
  const found = after[place] ?? after.at(-1) ?? seen(previous).at(-1);
  if (found) return found;
  if (parent === root) return seen(root)[0];
  if (parent instanceof HTMLElement && parent.matches(FOCUSABLE)) return parent;
  return parent.parentElement ? near(parent.parentElement, parent.nextElementSibling, parent.previousElementSibling, 0, root) : undefined;
}

function focusable(element: Element): HTMLElement[] {
  return [element, ...element.querySelectorAll("*")].filter((one): one is HTMLElement => one instanceof HTMLElement && one.matches(FOCUSABLE));
}

function seen(node: Node | null): HTMLElement[] {
  return node instanceof Element && node.isConnected ? focusable(node).filter((one) => one.checkVisibility()) : [];
}
