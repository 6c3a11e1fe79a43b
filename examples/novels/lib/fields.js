import { HttpError } from './http.js';

const invalid = (name, what) => new HttpError(400, `${name} must be ${what}`);

export function text(value, name) {
  if (typeof value !== 'string') throw invalid(name, 'a string');
  return value;
}

export function integer(value, name) {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(name, 'an integer, 0 or more');
  return value;
}

export function percent(value, name) {
  if (typeof value !== 'number' || !(value >= 0 && value <= 100)) throw invalid(name, 'a number from 0 to 100');
  return value;
}

export function hex(value, name) {
  if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/.test(value)) throw invalid(name, 'lower case hex');
  return Buffer.from(value, 'hex');
}

export const json = (value) => JSON.stringify(value);

export const optional = (field, fallback = null) => (value, name) =>
  value === undefined || value === null ? fallback : field(value, name);

export const listOf = (shape, { min = 0, max }) => (value, name) => {
  if (!Array.isArray(value) || value.length < min || value.length > max) {
    throw invalid(name, `a list of ${min} to ${max}`);
  }
  return value.map((item) => read(item, shape));
};

/** Checks an object against { name: field } and keeps nothing else. */
export function read(input, shape) {
  if (input === null || typeof input !== 'object' || Array.isArray(input)) throw invalid('body', 'an object');
  return Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, field(input[name], name)]));
}
