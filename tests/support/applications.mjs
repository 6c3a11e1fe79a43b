// Applications on better-sqlite3, each a process of its own; see applications.py, which does the same for Python.
//
//     node applications.mjs KIND FILE --rate N --timeout SECONDS

import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';

const ROWS = 50;
const [kind, file, , rate, , timeout] = process.argv.slice(2);

const KINDS = {
  // A transaction() that reads first takes the write lock in its middle: it begins deferred.
  transaction(db) {
    const read = db.prepare('SELECT credit FROM customers WHERE id = ?').pluck();
    const write = db.prepare('UPDATE customers SET credit = ? WHERE id = ?');
    return db.transaction((number) => {
      const id = (number % ROWS) + 1;
      write.run((read.get(id) ?? 0) + 1, id);
    });
  },
  plain(db) {
    const add = db.prepare("INSERT INTO customers (email, name) VALUES (?, 'plain')");
    const change = db.prepare('UPDATE customers SET credit = ? WHERE id = ?');
    const replace = db.prepare("REPLACE INTO customers (email, name) VALUES (?, 'replaced')");
    const remove = db.prepare('DELETE FROM customers WHERE email = ?');
    const turns = [
      (number) => add.run(`plain-${number}`),
      (number) => change.run(number, (number % ROWS) + 1),
      (number) => replace.run(`plain-${number - 2}`),
      (number) => remove.run(`plain-${number - 3}`),
    ];
    return (number) => turns[number % turns.length](number);
  },
};

const db = new Database(file, { timeout: Number(timeout) * 1000 });
db.pragma('foreign_keys = ON');
db.pragma('synchronous = NORMAL');
const transaction = KINDS[kind](db);
const failures = [];
let stopped = false;
let commits = 0;
let longest = 0;
let due = performance.now();
process.on('SIGTERM', () => {
  stopped = true;
});
console.log('writing');
for (let number = 4; !stopped; number += 1) {
  const began = performance.now();
  try {
    transaction(number);
    commits += 1;
  } catch (error) {
    failures.push([Date.now() / 1000, error.code ?? error.name, error.message]);
  }
  longest = Math.max(longest, (performance.now() - began) / 1000);
  due = Math.max(due + 1000 / Number(rate), performance.now() - 100);
  await sleep(Math.max(0, due - performance.now()));
}
db.close();
console.log(JSON.stringify({ commits, longest, failures }));
