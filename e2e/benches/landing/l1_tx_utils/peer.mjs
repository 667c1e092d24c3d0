// Lands one transaction for each line it reads, and answers with its block's number.
// node peer.mjs <url> <private key> <to> <calldata> <seconds between two L1 blocks>
import { createInterface } from 'node:readline';
import { createExtendedL1Client } from '@aztec/ethereum/client';
import { createL1TxUtils } from '@aztec/ethereum/l1-tx-utils';
import { foundry } from 'viem/chains';

const [url, key, to, data, slotSecs] = process.argv.slice(2);
const client = createExtendedL1Client([url], key, foundry);
const utils = createL1TxUtils(client, {}, { ethereumSlotDuration: Number(slotSecs) });

console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  const { receipt } = await utils.sendAndMonitorTransaction({ to, data });
  console.log(receipt.blockNumber.toString());
}
