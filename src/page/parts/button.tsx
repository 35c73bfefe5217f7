import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { Icon, type IconName } from './icons.js';

type ButtonProps = ButtonHTMLAttributes & {
  /** Classes beside `button`: small, primary, danger or plain. */
  readonly look?: string;
  readonly icon?: IconName;
  readonly children?: ComponentChildren;
};

/** A button with a label, and an icon before it where one is named. It submits no form unless `type` says so. */
export function Button({ look = '', icon, children, ...attributes }: ButtonProps) {
  return (
    <button type="button" class={`button ${look}`} {...attributes}>
      {icon !== undefined && <Icon name={icon} size={look.includes('small') ? 16 : 18} />}
      {children}
    </button>
  );
}

type IconButtonProps = ButtonHTMLAttributes & {
  readonly icon: IconName;
  /** In pixels. */
  readonly size?: number;
  /** What it does, for screen readers. */
  readonly label: string;
};

/** A button that is an icon. */
export function IconButton({ icon, size = 20, label, ...attributes }: IconButtonProps) {
  return (
    <button type="button" class="icon-button" aria-label={label} {...attributes}>
      <Icon name={icon} size={size} />
    </button>
  );
}
