const SENTENCES = [
  'The lamp was still burning when she came back.',
  '“You are late,” said the captain, “and the tide is not.”',
  "It wasn't the wind; it was somebody's hand on the door.",
  'He read the line twice: "nothing is lost, only moved".',
  'Der Zug nach Köln fährt um fünf, und niemand weiß warum.',
  'Elle a répondu : « peut-être », puis s’est tue.',
  '雨が降り始めた。彼は傘を持っていなかった。',
  'Он долго молчал, потом засмеялся. 🙂',
  'The path was C:\\novels\\draft\\1, or so the note claimed; \\n it said, and 100% of nothing.',
  'First verse,\n\tsecond verse,\nand no third.',
  'ﷺ — Ωmega, naïve café, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 and a zero‑width‍joiner.',
  "Robert'); DROP TABLE paragraphs;-- was only a name on a list.",
];

export const ROLES = ['narrator', 'dialogue', 'thought', null];
export const STAGES = ['roles', 'speech'];
export const VOICES = ['alto', 'baritone', 'élan'];

/** The same seed gives the same sequence (mulberry32). */
export class Random {
  #state = 2166136261;

  constructor(seed) {
    for (const char of String(seed)) this.#state = Math.imul(this.#state ^ char.codePointAt(0), 16777619);
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  below(limit) {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  hex(bytes) {
    let text = '';
    while (text.length < bytes * 2) text += this.next().toString(16).padStart(8, '0');
    return text.slice(0, bytes * 2);
  }

  uuid() {
    const h = this.hex(16);
    return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20)}`;
  }

  text() {
    const sentences = Array.from({ length: 1 + this.below(5) }, () => this.pick(SENTENCES));
    return sentences.join(this.below(8) === 0 ? '\n' : ' ');
  }

  /** One in fifty is beyond 32 bits. */
  fileSize() {
    return this.below(50) === 0 ? 2 ** 31 + this.below(2 ** 32) : 20_000 + this.below(4_000_000);
  }

  metadata() {
    const rate = this.pick([22050, 44100, 48000]);
    return {
      sample_rate: rate,
      engine: `tts/${this.below(4)}`,
      gain: this.below(200) / 10 - 10,
      note: this.pick(SENTENCES),
      tags: ['a', null, { x: true }],
    };
  }
}
