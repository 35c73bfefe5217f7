import { render } from 'preact';
import { App } from './app.js';
import { openLocalPictures } from './state/query/local-pictures.js';
import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/shell.css';
import './styles/query.css';
import './styles/results.css';
import './styles/detail.css';
import './styles/import.css';
import './styles/map.css';

const root = document.getElementById('page');
if (root === null) throw new Error('index.html has no #page. This is a bug.');
render(<App locals={openLocalPictures()} />, root);
