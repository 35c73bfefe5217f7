/** Which addresses the service may connect to on a stranger's word: global unicast ones, and networks that the operator named. */
import ipaddr from 'ipaddr.js';
import { SearchError } from '../errors.js';

/** True where the address, as text, may be connected to. Anything that is no address is refused. */
export type AddressRules = (address: string) => boolean;

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

/** The only block that IANA has given out as global unicast; what stands outside it belongs to nobody yet. */
const GLOBAL_UNICAST: Network = [ipaddr.IPv6.parse('2000::'), 3];
/** NAT64 (RFC 6052): the last 32 bits are the IPv4 address that the translator connects to. */
const NAT64: Network = [ipaddr.IPv6.parse('64:ff9b::'), 96];
/** An ISATAP interface (RFC 5214) ends in 0:5efe or 200:5efe and an IPv4 address, inner ones too. */
const ISATAP_PARTS: readonly number[] = [0x0000, 0x0200];

/**
 * The rules: every special range of the IANA registries is refused (loopback, private, link-local, shared, multicast, documentation, reserved ...). An IPv4 address
 * inside an IPv6 one is looked at itself (mapped, NAT64); 6to4, Teredo and ISATAP, whose relays reach who knows what, are refused whatever they hold.
 * `networks` (CIDR) are allowed besides. Throws INVALID_SETTINGS where one of them is none.
 */
export function createAddressRules(networks: readonly string[]): AddressRules {
  const allowed = networks.map(parseNetwork);
  return (text) => {
    if (!ipaddr.isValid(text)) return false;
    const address = unmapped(ipaddr.parse(text));
    return allowed.some((network) => isIn(address, network)) || isPublic(address);
  };
}

function isPublic(address: Address): boolean {
  if (address instanceof ipaddr.IPv4) return address.range() === 'unicast';
  if (isIn(address, NAT64)) return new ipaddr.IPv4(address.toByteArray().slice(12)).range() === 'unicast';
  const [high, low] = [address.parts[4] ?? 0, address.parts[5] ?? 0];
  const isIsatap = low === 0x5efe && ISATAP_PARTS.includes(high);
  return isIn(address, GLOBAL_UNICAST) && address.range() === 'unicast' && !isIsatap;
}

/** ::ffff:a.b.c.d is a.b.c.d: the system connects there by IPv4. */
function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function isIn(address: Address, [network, bits]: Network): boolean {
  if (address instanceof ipaddr.IPv4) return network instanceof ipaddr.IPv4 && address.match(network, bits);
  return network instanceof ipaddr.IPv6 && address.match(network, bits);
}

function parseNetwork(text: string): Network {
  // To the library "10" is an address, that of 0.0.0.10; a network is written in full here.
  if (!/^(\d+(\.\d+){3}|[0-9a-f.]*:[0-9a-f:.]*)\/\d+$/i.test(text) || !ipaddr.isValidCIDR(text)) {
    const message = `Settings are wrong:\n  --url-fetch-networks: "${text.slice(0, 100)}" is no network; write 192.168.7.0/24 or fd00:1::/64`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  return ipaddr.parseCIDR(text);
}
