/** The formats of strings that are enforced, as regular expressions for whole texts. */
const year = '[0-9]{4}';
const month31 = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])';
const month30 = '(0[469]|11)-(0[1-9]|[12][0-9]|30)';
const leap = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';
const date = `(${year}-(${month31}|${month30}|02-(0[1-9]|1[0-9]|2[0-8]))|${leap}-02-29)`;
const time = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';
const octet = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const ipv4 = `${octet}(\\.${octet}){3}`;
const group = '[0-9a-fA-F]{1,4}';
/** Groups of an IPv6 address with "::" in the place of one or more. */
const shortened = Array.from({ length: 8 }, (_, before) =>
  before === 0
    ? `::(${group}(:${group}){0,6})?`
    : `${group}(:${group}){${before - 1}}::(${group}(:${group}){0,${Math.max(0, 6 - before)}})?`,
).slice(0, 7);
const label = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+";
const digits = '[0-9]+';
const clock = `T(${digits}H(${digits}M(${digits}S)?)?|${digits}M(${digits}S)?|${digits}S)`;
const days = `(${digits}Y(${digits}M(${digits}D)?)?|${digits}M(${digits}D)?|${digits}D)`;
const unreserved = "[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2}";

export const formats: Readonly<Record<string, string>> = {
  date,
  time,
  'date-time': `${date}T${time}`,
  duration: `P(${days}(${clock})?|${clock}|${digits}W)`,
  email: `${atom}(\\.${atom})*@${label}(\\.${label})+`,
  hostname: `${label}(\\.${label}){0,3}`,
  ipv4,
  ipv6: `(${group}(:${group}){7}|${shortened.join('|')})`,
  uuid: '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}',
  uri: `[a-zA-Z][a-zA-Z0-9+.-]{0,20}://${label}(\\.${label}){0,3}(:[0-9]{1,4})?(/(${unreserved})*)*(\\?(${unreserved})*)?(#(${unreserved})*)?`,
};
