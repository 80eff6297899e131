// Asks the vendor's own command line whether it takes each vercel.json of a list: [[true, null], [false, "what is wrong"], …].
// Of its package nothing else is installed: this file of it needs no other.
import { readFileSync } from 'node:fs';
import { getConfigValidator } from './node_modules/vercel/dist/chunks/config-validator.mjs';

const validate = getConfigValidator();
const configs = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(configs.map((config) => [validate(config), validate.errors ? JSON.stringify(validate.errors) : null])));
