import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAddressRules } from '../../src/fetching/address-rules.js';

/**
 * First and last, or typical, addresses of every special-purpose block of the IANA registries (IPv4 and IPv6), and
 * forms that hide one.
 */
const REFUSED = {
  'this network': ['0.0.0.0', '0.255.255.255'],
  private: ['10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255'],
  'shared (carrier NAT)': ['100.64.0.0', '100.127.255.255'],
  loopback: ['127.0.0.1', '127.255.255.255', '::1', '0:0:0:0:0:0:0:1'],
  'link-local, cloud metadata among them': ['169.254.0.1', '169.254.169.254', 'fe80::1', 'febf::1', 'fe80::1%lo'],
  'protocol assignments': ['192.0.0.0', '192.0.0.8', '192.0.0.170', '2001:1::1', '2001:3::1'],
  documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.255', '2001:db8::1', '3fff::1'],
  'AS112 and AMT': ['192.31.196.1', '192.52.193.1', '192.175.48.1', '2001:4:112::1', '2620:4f:8000::1'],
  '6to4 relay': ['192.88.99.1'],
  benchmarking: ['198.18.0.0', '198.19.255.255', '2001:2::1'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  reserved: ['240.0.0.1', '255.255.255.254', '255.255.255.255'],
  unspecified: ['::', '0:0:0:0:0:0:0:0'],
  'IPv4 in IPv6': [
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:10.0.0.1',
    '::ffff:0.0.0.0',
    '::127.0.0.1',
    '::7f00:1',
    '::ffff:0:127.0.0.1',
  ],
  NAT64: ['64:ff9b::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '64:ff9b:1::8.8.8.8'],
  '6to4': ['2002:7f00:1::', '2002:a00:1::1', '2002:808:808::1'],
  Teredo: ['2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
  ISATAP: ['2606:4700::5efe:127.0.0.1', '2606:4700::200:5efe:10.0.0.1'],
  'discard, dummy and segment routing': ['100::1', '100:0:0:1::1', '5f00::1'],
  ORCHID: ['2001:10::1', '2001:20::1'],
  'unique and site local': ['fc00::1', 'fdff::1', 'fec0::1'],
  'not given out': ['4000::1', '8000::1', 'e000::1'],
  'no address': ['', 'localhost', '8.8.8.8/8', '1.2.3.4.5', '8.8.8.8 127.0.0.1', '::g'],
} as const;

const ALLOWED = [
  '1.1.1.1',
  '8.8.8.8',
  '100.63.255.255',
  '172.32.0.1',
  '223.255.255.255',
  '2606:4700::1111',
  '::ffff:8.8.8.8',
  '64:ff9b::808:808',
];

test('an address of any special range is refused, however it is written, and public ones are allowed', () => {
  const isAllowed = createAddressRules([]);
  for (const [range, addresses] of Object.entries(REFUSED)) {
    for (const address of addresses) assert.equal(isAllowed(address), false, `${range}: ${address}`);
  }
  for (const address of ALLOWED) assert.equal(isAllowed(address), true, address);
});

test('a network that the operator names is allowed, nothing beside it, and also where its address is mapped', () => {
  const isAllowed = createAddressRules(['10.1.2.0/24', 'fd00:1::/64']);
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00:1::9', '8.8.8.8'])
    assert.equal(isAllowed(address), true, address);
  for (const address of ['10.1.3.3', '127.0.0.1', 'fd00:2::9', '::ffff:10.1.3.3'])
    assert.equal(isAllowed(address), false, address);
});

test('a network that is none stops the start', () => {
  for (const text of ['10', '10/8', '10.0.0.0', 'localhost/8', '10.0.0.0/33', '::1/129', '*', '']) {
    assert.throws(() => createAddressRules([text]), { code: 'INVALID_SETTINGS' }, text);
  }
});
