// Files of a folder as one zip, without compression: a list of pieces of the files themselves, so that little is held in memory.
// The format: APPNOTE 6.3, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"use strict";
window.ccZip = (() => {
  const MOST_BYTES = 0xfffffff0; // beyond it, and beyond so many files, a zip needs its 64-bit records
  const MOST_FILES = 0xfff0;
  const IN_UTF8 = 0x0800;
  const PIECE = 4 * 1024 * 1024;
  const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });

  async function checksum(file) {
    let value = 0xffffffff;
    for (let from = 0; from < file.size; from += PIECE) {
      for (const byte of new Uint8Array(await file.slice(from, from + PIECE).arrayBuffer())) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
    }
    return (value ^ 0xffffffff) >>> 0;
  }

  // Numbers of two or four bytes, the lowest first.
  function record(...fields) {
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [width]) => sum + width, 0)));
    let place = 0;
    for (const [width, value] of fields) {
      if (width === 2) view.setUint16(place, value, true);
      else view.setUint32(place, value, true);
      place += width;
    }
    return view.buffer;
  }

  // `entries` are [name, file]. Throws RangeError for more than such a zip can hold.
  async function pack(entries, progress = () => {}) {
    const total = entries.reduce((sum, [name, file]) => sum + file.size + 2 * name.length + 200, 0);
    if (entries.length > MOST_FILES || total > MOST_BYTES) throw new RangeError("too much for a zip");
    const pieces = [], listed = [];
    let place = 0, done = 0;
    for (const [name, file] of entries) {
      const bytes = new TextEncoder().encode(name);
      const crc = await checksum(file);
      // Version, flags, no compression, time and date (1 January 1980), checksum, sizes, length of the name, no extras.
      const shared = [[2, 20], [2, IN_UTF8], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, file.size], [4, file.size], [2, bytes.length], [2, 0]];
      const header = record([4, 0x04034b50], ...shared);
      pieces.push(header, bytes, file);
      listed.push(record([4, 0x02014b50], [2, 20], ...shared, [2, 0], [2, 0], [2, 0], [4, 0], [4, place]), bytes);
      place += header.byteLength + bytes.length + file.size;
      progress(++done / entries.length);
    }
    const size = listed.reduce((sum, part) => sum + part.byteLength, 0);
    const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, size], [4, place], [2, 0]);
    return new Blob([...pieces, ...listed, end], { type: "application/zip" });
  }

  return { pack };
})();
