/** Addresses that the service may connect to for a client: global unicast, and networks that the operator allows. */
import ipaddr from 'ipaddr.js';
import { SearchError } from '../errors.js';

/** True where the address may be connected to; false for text that is no address. */
export type AddressRules = (address: string) => boolean;

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

/** The only block that IANA has allocated as global unicast. */
const GLOBAL_UNICAST: Network = [ipaddr.IPv6.parse('2000::'), 3];
/** NAT64 (RFC 6052): the last 32 bits are an IPv4 address. */
const NAT64: Network = [ipaddr.IPv6.parse('64:ff9b::'), 96];
/** An ISATAP interface id (RFC 5214) is 0:5efe or 200:5efe and an IPv4 address, private ones too. */
const ISATAP_PARTS: readonly number[] = [0x0000, 0x0200];

/**
 * Refuses every special range of the IANA registries (loopback, private, link-local, shared, multicast, documentation,
 * reserved ...). An IPv4 address inside an IPv6 one is checked itself (mapped, NAT64); 6to4, Teredo and ISATAP are
 * always refused, since their relays may reach any address. `networks` (CIDR) are allowed besides. Throws
 * INVALID_SETTINGS where one of them is invalid.
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

/** The system connects to ::ffff:a.b.c.d by IPv4. */
function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

function isIn(address: Address, [network, bits]: Network): boolean {
  if (address instanceof ipaddr.IPv4) return network instanceof ipaddr.IPv4 && address.match(network, bits);
  return network instanceof ipaddr.IPv6 && address.match(network, bits);
}

function parseNetwork(text: string): Network {
  // The library reads "10" as 0.0.0.10; require the full form.
  if (!/^(\d+(\.\d+){3}|[0-9a-f.]*:[0-9a-f:.]*)\/\d+$/i.test(text) || !ipaddr.isValidCIDR(text)) {
    const message = `Invalid settings:\n  --url-fetch-networks: "${text.slice(0, 100)}" is not a network; write 192.168.7.0/24 or fd00:1::/64`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  return ipaddr.parseCIDR(text);
}
