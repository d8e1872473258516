/** Python's `strftime` in the C locale, whatever the host's locale is. */
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October'],
  ...['November', 'December'],
];

export function formatTime(at: Date, format: string): string {
  return format.replaceAll(/%(-?)([a-zA-Z%])/g, (whole, flag: string, code: string) => {
    const text = part(at, code);
    if (text === null) return whole;
    return flag === '-' ? text.replace(/^[0 ]+(?=.)/, '') : text;
  });
}

function part(at: Date, code: string): string | null {
  const two = (value: number, fill = '0'): string => String(value).padStart(2, fill);
  const year = at.getFullYear();
  const hour12 = at.getHours() % 12 || 12;
  const day = dayOfYear(at);
  const join = (format: string): string => formatTime(at, format);
  const parts: Readonly<Record<string, () => string>> = {
    a: () => (days[at.getDay()] ?? '').slice(0, 3),
    A: () => days[at.getDay()] ?? '',
    b: () => (months[at.getMonth()] ?? '').slice(0, 3),
    B: () => months[at.getMonth()] ?? '',
    c: () => join('%a %b %e %H:%M:%S %Y'),
    C: () => two(Math.floor(year / 100)),
    d: () => two(at.getDate()),
    D: () => join('%m/%d/%y'),
    e: () => two(at.getDate(), ' '),
    f: () => String(at.getMilliseconds() * 1_000).padStart(6, '0'),
    F: () => join('%Y-%m-%d'),
    h: () => join('%b'),
    H: () => two(at.getHours()),
    I: () => two(hour12),
    j: () => String(day).padStart(3, '0'),
    k: () => two(at.getHours(), ' '),
    l: () => two(hour12, ' '),
    m: () => two(at.getMonth() + 1),
    M: () => two(at.getMinutes()),
    n: () => '\n',
    p: () => (at.getHours() < 12 ? 'AM' : 'PM'),
    r: () => join('%I:%M:%S %p'),
    R: () => join('%H:%M'),
    s: () => String(Math.floor(at.getTime() / 1_000)),
    S: () => two(at.getSeconds()),
    t: () => '\t',
    T: () => join('%H:%M:%S'),
    u: () => String(at.getDay() || 7),
    U: () => two(Math.floor((day + 6 - at.getDay()) / 7)),
    w: () => String(at.getDay()),
    W: () => two(Math.floor((day + 6 - ((at.getDay() + 6) % 7)) / 7)),
    x: () => join('%m/%d/%y'),
    X: () => join('%H:%M:%S'),
    y: () => two(year % 100),
    Y: () => String(year),
    z: () => '',
    Z: () => '',
    '%': () => '%',
  };
  return parts[code]?.() ?? null;
}

/** 1 for the first of January. */
function dayOfYear(at: Date): number {
  const start = Date.UTC(at.getFullYear(), 0, 1);
  return Math.round((Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()) - start) / 86_400_000) + 1;
}
