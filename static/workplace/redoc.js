// Redoc shows its maker's logo from its maker's server: the one thing in it that asks anybody outside this installation.
// The policy of the page keeps that away, which the browser then complains about; so it is not asked for at all.
"use strict";
{
  const own = (address) => (String(address).startsWith("https://cdn.redoc.ly/") ? "data:," : address);
  const image = HTMLImageElement.prototype;
  const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(image, "src");
  Object.defineProperty(image, "src", {
    get,
    set(address) {
      set.call(this, own(address));
    },
    enumerable,
    configurable,
  });
  image.setAttribute = function (name, value) {
    return Element.prototype.setAttribute.call(this, name, name === "src" ? own(value) : value);
  };
}
